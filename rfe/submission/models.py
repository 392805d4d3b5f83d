"""The models that a bundle is made of: found in their studies, or trained again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.ensemble.candidates import Candidate, ModelOutputs, StudyRecord, load_outputs, outputs_of, read_study
from rfe.ensemble.selection import Member
from rfe.errors import StudyError, SubmissionError
from rfe.submission.manifest import mlflow_run, standardizes_by_actor
from rfe.training.record import TrialResult
from rfe.workspace import Workspace

Retrain = Callable[[Config], TrialResult]


@dataclass(frozen=True)
class Models:
    """One member's fold models."""

    member: Member
    record: StudyRecord
    weights: Mapping[str, NDArray[np.float32]]
    """`fold0.seed0.NAME` -> array."""
    outputs: ModelOutputs
    source: str
    """A sentence on where they come from."""
    run_id: str | None
    """The trial's MLflow run, if known."""

    @property
    def folder(self) -> str:
        """Its place in a bundle."""
        return f"members/{self.member.candidate.study}-{self.member.candidate.number}"

    def describe(self) -> dict[str, Any]:
        """The manifest's word on it."""
        candidate = self.member.candidate
        return {
            "folder": self.folder,
            "study": candidate.study,
            "trial": candidate.number,
            "config_id": candidate.config_id,
            "weight": self.member.weight,
            "ratio_weight": self.member.ratio_weight,
            "score": candidate.score,
            "models": self.source,
            "folds": list(self.outputs.folds),
            "seeds": list(self.outputs.seeds),
            "git_commit": self.record.study.git_commit,
            "mlflow_run_id": self.run_id,
        }


def check_exportable(candidate: Candidate, record: StudyRecord, dataset: Dataset) -> None:
    """Refuse what could not be handed in honestly.

    Raises:
        StudyError: the data is not the study's.
        SubmissionError: the trial's protocol, or what its crossfit knew of the actors, does not fit the target.
    """
    where = f"study {candidate.study!r}, trial {candidate.number}"
    searched_on = record.study.data_fingerprint
    if searched_on and searched_on != dataset.fingerprint:
        raise StudyError(
            f"{where}: searched on data {record.study.data!r} with fingerprint {searched_on}, but {dataset.path} has "
            f"{dataset.fingerprint}; give the study's own data with --data"
        )
    config, clips = candidate.config, dataset.clips
    if config.protocol != "crossfit":
        raise SubmissionError(
            f"{where}: protocol: {config.protocol} chose thresholds and epoch on the reported fold and is for tables "
            "beside published numbers only; search with protocol: crossfit to export"
        )
    known = config.data.target_actors == "known" and standardizes_by_actor(config, dataset)
    if known and clips.n_target and not clips.target_has_actors:
        raise SubmissionError(
            f"{where}: its crossfit standardised held-out clips by their true actors (data.target_actors: known), but "
            f"the target clips of {dataset.path} carry no video_id, so its score promises more than the target can "
            "keep; choose a trial with data.target_actors: unknown or pseudo, or search again with one of them"
        )


def find_models(workspace: Workspace, member: Member, dataset: Dataset, retrain: Retrain | None) -> Models:
    """Logged weights and outputs where both were kept, else those of a retraining."""
    candidate = member.candidate
    folder = workspace.study(candidate.study)
    record = read_study(folder)
    check_exportable(candidate, record, dataset)
    where = f"study {candidate.study!r}, trial {candidate.number}"
    if candidate.weights is not None and candidate.outputs is not None:
        seeds = "the confirmation's fresh seeds" if candidate.confirmed_models else "the search's seeds"
        weights, outputs = _read_weights(candidate.weights), load_outputs(candidate, dataset)
        source = f"trained in the study with {seeds}; outputs logged in float16"
    elif retrain is None:
        raise StudyError(
            f"{where}: its weights were not kept (the best trials' and the confirmed ones' are); export one of those, "
            f"or train it again with `rfe train --from {candidate.study} --trial {candidate.number}`"
        )
    else:
        result = retrain(candidate.config)
        if result.state != "complete" or result.weights is None:
            raise StudyError(f"{where}: retraining it for export {result.state}: {result.reason or 'no weights'}")
        weights, outputs = result.weights, outputs_of(result, candidate.config, dataset)
        source = "trained again for the export, as the study did not keep the weights"
    for fold in outputs.folds:
        for seed in outputs.seeds:
            if not any(name.startswith(f"fold{fold}.seed{seed}.") for name in weights):
                raise StudyError(f"{where}: there are no weights of fold {fold}, seed {seed}; export another trial")
    return Models(member, record, weights, outputs, source, mlflow_run(folder, candidate.number))


def _read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as problem:
        raise StudyError(f"{path}: not a safetensors file: {problem}; delete it and export again to retrain") from None
