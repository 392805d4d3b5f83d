"""From a study to a bundle: the best configuration's fold models, its decoder, and the answer for the target clips."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from rfe.config.load import dump_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.ensemble.candidates import Candidate, ModelOutputs, StudyRecord, load_outputs, outputs_of, read_study
from rfe.ensemble.prediction import FinalDecoder, answer_target, fit_final_decoder
from rfe.ensemble.selection import select_single
from rfe.errors import StudyError, SubmissionError
from rfe.submission.bundle import write_bundle
from rfe.submission.card import describe_bundle
from rfe.submission.manifest import describe_export, describe_submission, mlflow_run, standardizes_by_actor
from rfe.submission.submission import VIDEO_EXTENSION, write_submission
from rfe.training.build import build_replicas
from rfe.training.record import TrialResult
from rfe.workspace import Workspace

Retrain = Callable[[Config], TrialResult]


@dataclass(frozen=True)
class _Models:
    """The exported configuration's fold models."""

    weights: Mapping[str, NDArray[np.float32]]
    """`fold0.seed0.NAME` -> array."""
    outputs: ModelOutputs
    source: str
    """A sentence on where they come from."""


def export_study(
    workspace: Workspace,
    study: str,
    dataset: Dataset,
    *,
    trial: int | None = None,
    output: Path | None = None,
    extension: str = VIDEO_EXTENSION,
    retrain: Retrain | None = None,
) -> Path:
    """Write the bundle of a study's best configuration.

    Args:
        workspace: holds the study.
        study: its name.
        dataset: the data the study was searched on, target clips included.
        trial: the trial to export; None takes the best confirmed one, else the one with the best score.
        output: the bundle's folder; default `bundles/STUDY-trial-N` in the workspace.
        extension: of the target clips' recordings, for the submission's keys (see `submission.submission_key`).
        retrain: trains a configuration with weights kept; called where the study did not keep the trial's weights.

    Returns:
        The bundle's folder.

    Raises:
        StudyError: no such study or trial, other data, or weights that were not kept and no `retrain`.
        SubmissionError: the configuration may not be exported, `output` holds something else, or the bundle fails its
            own verification.
    """
    folder = workspace.study(study)
    record = read_study(folder)
    candidate = select_single(record.candidates, trial).members[0].candidate
    check_exportable(candidate, record, dataset)
    models = _find_models(candidate, dataset, retrain)
    clips = dataset.clips
    decoder = fit_final_decoder(
        candidate.config, models.outputs, clips.state[: clips.n_source], clips.fold[: clips.n_source]
    )
    answers = _answer(candidate, models.outputs, decoder, dataset)
    manifest = describe_export(
        candidate, record, dataset, models.outputs, models.source, mlflow_run(folder, candidate.number)
    )
    manifest |= describe_submission(answers, extension)
    output = (output or workspace.root / "bundles" / f"{study}-trial-{candidate.number}").absolute()
    target_filenames = clips.filename[clips.target].tolist()
    cache = FeatureCache(dataset, workspace.cache)
    with write_bundle(output, manifest, target_filenames if clips.n_target else None) as beside:
        config_yaml = dump_config(candidate.config)
        (beside / "config.yaml").write_text(config_yaml, encoding="utf-8")
        (beside / "decoder.json").write_text(json.dumps(decoder.to_dict(), indent=1) + "\n", encoding="utf-8")
        (beside / "README.md").write_text(describe_bundle(manifest, config_yaml), encoding="utf-8")
        _write_weights(beside / "weights", models)
        _write_preprocessing(beside / "preprocessing", candidate.config, dataset, cache)
        if clips.n_target:
            write_submission(beside, target_filenames, answers, extension)
    return output


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


def _find_models(candidate: Candidate, dataset: Dataset, retrain: Retrain | None) -> _Models:
    """Logged weights and outputs where both were kept, else those of a retraining."""
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
    return _Models(weights, outputs, source)


def _read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as problem:
        raise StudyError(f"{path}: not a safetensors file: {problem}; delete it and export again to retrain") from None


def _answer(candidate: Candidate, outputs: ModelOutputs, decoder: FinalDecoder, dataset: Dataset) -> NDArray[np.int64]:
    """[target clip] states; every clip answered."""
    if not dataset.clips.n_target:
        return np.zeros(0, np.int64)
    states = answer_target(decoder, outputs.target)
    if (states < 0).any():
        clip = dataset.clips.filename[dataset.clips.target][states < 0][0]
        raise StudyError(
            f"study {candidate.study!r}, trial {candidate.number}: {int((states < 0).sum())} target clips have "
            f"outputs that are not finite, {clip} first; export another trial"
        )
    return states


def _write_weights(folder: Path, models: _Models) -> None:
    """One file for each fold, its tensors named `seedS.NAME`."""
    folder.mkdir()
    for fold in models.outputs.folds:
        prefix = f"fold{fold}."
        tensors = {
            name.removeprefix(prefix): np.ascontiguousarray(value)
            for name, value in models.weights.items()
            if name.startswith(prefix)
        }
        save_file(tensors, folder / f"fold{fold}.safetensors")


def _write_preprocessing(folder: Path, config: Config, dataset: Dataset, cache: FeatureCache) -> None:
    """What was fitted on each fold's training clips, for each encoder of the pool."""
    names = list(dataset.encoders)
    for replica in build_replicas(0, config, dataset):
        for view in replica.views.values():
            path = folder / f"fold{view.fold}" / f"{names[view.encoder]}.safetensors"
            if path.exists():  # another seed of the fold
                continue
            prepared = cache.prepared(
                names[view.encoder],
                view.fold,
                standardize=view.standardize,
                target_actors=view.target_actors,
                reduce=view.reduce,
                clips_per_group=view.clips_per_group,
            )
            tensors = dict(vars(prepared.preprocessing))
            if prepared.identity is not None:
                tensors |= {f"identity_{name}": value for name, value in vars(prepared.identity).items()}
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)
