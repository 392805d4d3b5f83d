"""The models that a bundle is made of: found in their studies, or trained again."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.data.domains import resolve_target_actors
from rfe.data.folds import ALL_TRAIN
from rfe.ensemble.candidates import Candidate, ModelOutputs, StudyRecord, load_outputs, outputs_of, read_candidates
from rfe.ensemble.selection import Member
from rfe.errors import StudyError, SubmissionError
from rfe.progress import duration
from rfe.submission.layout import ModelKind
from rfe.submission.manifest import mlflow_run, standardizes_by_actor
from rfe.training.record import TrialResult
from rfe.training.scoring import log_set_weights
from rfe.workspace import Workspace

Train = Callable[[Config, tuple[int, ...] | None], TrialResult]
"""Trains a configuration with weights kept, on some folds; None: on all of them."""


@dataclass(frozen=True)
class Models:
    """One member's models."""

    member: Member
    record: StudyRecord
    weights: Mapping[str, NDArray[np.float32]]
    """`fold0.seed0.NAME` -> array."""
    outputs: ModelOutputs
    """Of the cross-validation, with as many seeds."""
    folds: tuple[int, ...]
    """Each model's held-out fold; `ALL_TRAIN` alone: models of all clips."""
    source: str
    """A sentence on where they come from."""
    run_id: str | None
    """The trial's MLflow run, if known."""

    @property
    def folder(self) -> str:
        """Its place in a bundle."""
        return f"members/{self.member.candidate.study}-{self.member.candidate.number}"

    def set_offset(self, dataset: Dataset) -> NDArray[np.float64]:
        """[fold, set] log class-balance weight that the models were trained with."""
        return log_set_weights(self.member.candidate.config, dataset.clips, self.folds)

    def describe(self, dataset: Dataset) -> dict[str, Any]:
        """The manifest's entry on it."""
        candidate, clips = self.member.candidate, dataset.clips
        by_actor = standardizes_by_actor(candidate.config, dataset)
        return {
            "folder": self.folder,
            "study": candidate.study,
            "trial": candidate.number,
            "config_id": candidate.config_id,
            "weight": self.member.weight,
            "ratio_weight": self.member.ratio_weight,
            "score": candidate.score,
            "source": self.source,
            "folds": list(self.folds),
            "seeds": list(self.outputs.seeds),
            "target_actors": resolve_target_actors(candidate.config.data.target_actors, clips) if by_actor else None,
            "git_commit": self.record.study.git_commit,
            "mlflow_run_id": self.run_id,
        }


def check_exportable(candidate: Candidate, record: StudyRecord, dataset: Dataset) -> None:
    """Refuse models whose scores would be misleading in a submission.

    Raises:
        StudyError: the data is not the study's.
        SubmissionError: the trial's protocol, or what its crossfit knew of the actors, does not fit the target.
    """
    where = _where(candidate)
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
    if config.decode.design == "actor":
        check_whole_sets(dataset, f"{where}: decode.design: actor")
    known = config.data.target_actors == "known" and standardizes_by_actor(config, dataset)
    if known and clips.n_target and not clips.target_has_actors:
        raise SubmissionError(
            f"{where}: its crossfit standardised held-out clips by their true actors (data.target_actors: known), but "
            f"the target clips of {dataset.path} carry no video_id, so its score promises more than the target can "
            "keep; choose a trial with data.target_actors: unknown or pseudo, or search again with one of them"
        )


def check_whole_sets(dataset: Dataset, what: str) -> None:
    """Refuse the design decoder, asked for by `what`, for target clips of unknown actors.

    Raises:
        SubmissionError: the target clips carry no `video_id`.
    """
    if dataset.clips.n_target and not dataset.clips.target_has_actors:
        raise SubmissionError(
            f"{what}: answers each actor's clips together, but the target clips of {dataset.path} carry no video_id; "
            "add that column, or choose what answers each clip by itself"
        )


def describe_training(members: Sequence[Member], kind: ModelKind, seeds: int | None, n_folds: int) -> str:
    """What has to be trained before these members' models are there, and about how long; "" for nothing.

    Args:
        members: to be exported.
        kind, seeds: as `find_models`.
        n_folds: of the data.
    """
    again = new = again_s = new_s = 0.0
    affected = 0
    for member in members:
        candidate = member.candidate
        logged = candidate.config.train.seeds
        wanted = (seeds or logged) if kind == "final" else logged
        retrains = candidate.outputs is None or (wanted != logged if kind == "final" else candidate.weights is None)
        # of one model; a confirmed one has other seeds than the search trained
        trained = n_folds * (1 if candidate.confirmed_models else logged)
        seconds = 0.0 if math.isnan(candidate.seconds) else candidate.seconds / trained
        if retrains:
            affected, again, again_s = affected + 1, again + n_folds * wanted, again_s + n_folds * wanted * seconds
        if kind == "final":
            new, new_s = new + wanted, new_s + wanted * seconds
    if not again and not new:
        return ""
    many = "member's" if affected == 1 else "members'"
    why = (
        f"the outputs or weights of {affected} {many} fold models were not kept"
        if len(members) > 1
        else ("its fold models' outputs or weights were not kept")
    )
    parts = [
        *([f"{again:g} model{'s' * (again > 1)} again ({why})"] if again else []),
        *([f"{new:g} model{'s' * (new > 1)} on all clips"] if new else []),
    ]
    return f"first training {' and '.join(parts)}, {_how_long(again_s + new_s)}"


def _how_long(seconds: float) -> str:
    if not seconds:
        return "which may take minutes"
    return f"about {duration(seconds)} if it goes as in the search, longer on a busy machine"


def find_models(
    workspace: Workspace,
    member: Member,
    dataset: Dataset,
    kind: ModelKind,
    train: Train | None = None,
    seeds: int | None = None,
) -> Models:
    """A member's models, and the out-of-fold outputs that say how to read them.

    Args:
        workspace: holds the member's study.
        member: the configuration.
        dataset: the study's data.
        kind: `folds` takes the logged models where they were kept and trains them again where not; `final` trains one
            model for each seed on all clips.
        train: trains a configuration; needed for `final`, and where something was not kept.
        seeds: `final`: how many; the decoder needs out-of-fold outputs of as many, so another number than was logged
            trains the folds again. None: as many as there are.
    """
    folder = workspace.study(member.candidate.study)
    record = read_candidates(folder)
    check_exportable(member.candidate, record, dataset)
    run_id = mlflow_run(folder, member.candidate.number)
    if kind == "folds":
        weights, outputs, source = _fold_models(member.candidate, dataset, train)
        folds = outputs.folds
    else:
        config, outputs = _outputs_of_seeds(member.candidate, dataset, train, seeds)
        weights = _trained(member.candidate, config, train, (ALL_TRAIN,)).weights or {}
        folds = (ALL_TRAIN,)
        member = replace(member, candidate=replace(member.candidate, config=config))
        source = f"trained on all {dataset.clips.n_source} training clips for the export"
    for fold in folds:
        for seed in outputs.seeds:
            if not any(name.startswith(f"fold{fold}.seed{seed}.") for name in weights):
                where = _where(member.candidate)
                raise StudyError(f"{where}: there are no weights of fold {fold}, seed {seed}; export another trial")
    return Models(member, record, weights, outputs, folds, source, run_id)


def _fold_models(
    candidate: Candidate, dataset: Dataset, train: Train | None
) -> tuple[Mapping[str, NDArray[np.float32]], ModelOutputs, str]:
    """Logged weights and outputs where both were kept, else those of a retraining, with a sentence on which."""
    if candidate.weights is not None and candidate.outputs is not None:
        seeds = "the confirmation's fresh seeds" if candidate.confirmed_models else "the search's seeds"
        source = f"trained in the study with {seeds}; outputs logged in float16"
        return _read_weights(candidate.weights), load_outputs(candidate, dataset), source
    result = _trained(candidate, candidate.config, train, None)
    source = "trained again for the export, as the study did not keep the weights"
    return result.weights or {}, outputs_of(result, candidate.config, dataset), source


def _outputs_of_seeds(
    candidate: Candidate, dataset: Dataset, train: Train | None, seeds: int | None
) -> tuple[Config, ModelOutputs]:
    """Out-of-fold outputs of so many seeds, and the configuration that has them."""
    config = candidate.config
    if seeds in (None, config.train.seeds) and candidate.outputs is not None:
        return config, load_outputs(candidate, dataset)
    config = change_config(config, {"train.seeds": seeds or config.train.seeds})
    return config, outputs_of(_trained(candidate, config, train, None), config, dataset)


def _trained(candidate: Candidate, config: Config, train: Train | None, folds: tuple[int, ...] | None) -> TrialResult:
    where = _where(candidate)
    if train is None:
        raise StudyError(
            f"{where}: its weights were not kept (the best trials' and the confirmed ones' are); export one of those, "
            f"or train it again with `rfe train --from {candidate.study} --trial {candidate.number}`"
        )
    result = train(config, folds)
    if result.state != "complete" or result.weights is None:
        raise StudyError(f"{where}: training it for export {result.state}: {result.reason or 'no weights'}")
    return result


def _where(candidate: Candidate) -> str:
    return f"study {candidate.study!r}, trial {candidate.number}"


def _read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as problem:
        raise StudyError(f"{path}: not a safetensors file: {problem}; delete it and export again to retrain") from None
