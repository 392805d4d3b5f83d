"""From a study or an ensemble to a bundle: models, how they are answered, and the answer for the target clips."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from rfe.config.load import dump_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.caveats import TRANSDUCTIVE
from rfe.data.dataset import Dataset
from rfe.ensemble.calibrated import Decoding, Truth
from rfe.ensemble.candidates import read_candidates
from rfe.ensemble.final_decoder import FinalDecoder
from rfe.ensemble.prediction import AnyDecoder, AveragedDecoder, MatchedDecoder, fit_decoder, own_decoding
from rfe.ensemble.selection import Member, select_single
from rfe.ensemble.stored import StoredEnsemble
from rfe.errors import StudyError
from rfe.submission.bundle import write_bundle
from rfe.submission.card import describe_bundle
from rfe.submission.clips import NewClips
from rfe.submission.layout import PREDICTIONS_NAME, ModelKind, part_name
from rfe.submission.manifest import (
    crossfit_scores,
    describe_data,
    describe_ensemble,
    describe_submission,
    ensemble_yaml,
    title,
    trial_entry,
)
from rfe.submission.models import Models, Train, check_whole_sets, describe_training, find_models
from rfe.submission.predictor import Prediction, Predictor
from rfe.submission.submission import VIDEO_EXTENSION
from rfe.submission.table import predictions_csv
from rfe.submission.writers import writer_of
from rfe.training.build import build_replicas
from rfe.workspace import Workspace


def export_study(
    workspace: Workspace,
    study: str,
    dataset: Dataset,
    *,
    trial: int | None = None,
    kind: ModelKind = "folds",
    seeds: int | None = None,
    output: Path | None = None,
    extension: str = VIDEO_EXTENSION,
    train: Train | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write the bundle of a study's best configuration, an ensemble of one.

    Args:
        workspace: holds the study.
        study: its name.
        dataset: the data the study was searched on, target clips included.
        trial: the trial to export; None takes the best confirmed one, else the one with the best score.
        kind: which models: `final` trains new ones on all clips, `folds` takes the cross-validation's.
        seeds: `final`: how many models a configuration; None: as many as its outputs were logged of.
        output: the bundle's folder, or its archive where the name ends with `.zip`; default `bundles/STUDY-trial-N` in
            the workspace.
        extension: of the target clips' recordings, for the submission's keys (see `submission.submission_key`).
        train: see `find_models`.
        note: told what has to be trained first, before it is.

    Returns:
        The bundle's folder or archive.

    Raises:
        StudyError: no such study or trial, other data, or weights that were not kept and no `train`.
        SubmissionError: the configuration may not be exported, `output` holds something else, or the bundle fails its
            own verification.
    """
    record = read_candidates(workspace.study(study))
    member = select_single(record.candidates, trial).members[0]
    candidate = member.candidate
    _announce([member], dataset, kind, seeds, train, note)
    models = find_models(workspace, member, dataset, kind, train, seeds)
    own = crossfit_scores(models.member.candidate.config, models.outputs, dataset)
    about = {"study": study, "trial": candidate.number} | trial_entry(candidate, record, own)
    output = output or workspace.root / "bundles" / f"{study}-trial-{candidate.number}"
    return _write(output, about, (models,), kind, workspace, dataset, extension)


def export_ensemble(
    workspace: Workspace,
    stored: StoredEnsemble,
    dataset: Dataset,
    *,
    kind: ModelKind = "folds",
    seeds: int | None = None,
    output: Path | None = None,
    extension: str = VIDEO_EXTENSION,
    train: Train | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write the bundle of an ensemble that `rfe ensemble` chose.

    Args, returns and raises as `export_study`; default place `bundles/NAME` in the workspace.
    """
    if stored.decoding == "design":
        check_whole_sets(dataset, f"ensemble {stored.name!r}: --decode design")
    _announce(stored.ensemble.members, dataset, kind, seeds, train, note)
    members = [find_models(workspace, one, dataset, kind, train, seeds) for one in stored.ensemble.members]
    about = {"ensemble": stored.name} | describe_ensemble(stored)
    output = output or workspace.root / "bundles" / stored.name
    return _write(output, about, members, kind, workspace, dataset, extension, stored.decoding)


def _announce(
    members: Sequence[Member],
    dataset: Dataset,
    kind: ModelKind,
    seeds: int | None,
    train: Train | None,
    note: Callable[[str], None],
) -> None:
    if train is not None and (sentence := describe_training(members, kind, seeds, len(dataset.clips.folds))):
        note(sentence)


def fit_bundle_decoder(members: Sequence[Models], dataset: Dataset, decoding: Decoding | None = None) -> AnyDecoder:
    """The decoder of a bundle: fitted on out-of-fold outputs, applied to the models that the bundle holds."""
    own, outputs = [one.member for one in members], [one.outputs for one in members]
    fitted = fit_decoder(own, outputs, Truth.of(dataset), decoding)
    if isinstance(fitted, AveragedDecoder):
        return fitted
    offsets = [one.set_offset(dataset) for one in members]
    if isinstance(fitted, FinalDecoder):
        return replace(fitted, set_offset=offsets[0])
    ensemble = fitted.ensemble if isinstance(fitted, MatchedDecoder) else fitted
    decoders = [replace(one, set_offset=offset) for one, offset in zip(ensemble.members, offsets, strict=True)]
    ensemble = replace(ensemble, members=tuple(decoders))
    return replace(fitted, ensemble=ensemble) if isinstance(fitted, MatchedDecoder) else ensemble


def write_models(
    folder: Path,
    members: Sequence[Models],
    dataset: Dataset,
    cache: FeatureCache,
    decoding: Decoding | None = None,
) -> None:
    """Write what predicts: decoder, and each member's configuration, weights and preprocessing."""
    decoder = fit_bundle_decoder(members, dataset, decoding).to_dict()
    (folder / "decoder.json").write_text(json.dumps(decoder, indent=1) + "\n", encoding="utf-8")
    for one in members:
        place = folder / one.folder
        place.mkdir(parents=True)
        (place / "config.yaml").write_text(dump_config(one.member.candidate.config), encoding="utf-8")
        _write_weights(place / "weights", one)
        _write_preprocessing(place / "preprocessing", one, dataset, cache)


def _write(
    output: Path,
    about: Mapping[str, Any],
    members: Sequence[Models],
    kind: ModelKind,
    workspace: Workspace,
    dataset: Dataset,
    extension: str,
    decoding: Decoding | None = None,
) -> Path:
    """Fill and seal the bundle; the answers are those of the models as they stand in it."""
    clips = dataset.clips
    transductive = (decoding or own_decoding([one.member for one in members])) == "design"
    of_studies = any(TRANSDUCTIVE in one.record.study.caveats for one in members)  # their scores are shown, too
    caveats = [TRANSDUCTIVE] if transductive or of_studies else []
    manifest = {
        **about,
        "models": kind,
        "members": [one.describe(dataset) for one in members],
        "transductive": transductive,
        **describe_data([one.member.candidate.config for one in members], dataset, caveats),
    }
    output, cache = output.absolute(), FeatureCache(dataset, workspace.cache)
    names = clips.filename[clips.target].tolist()
    with write_bundle(output, manifest, names if clips.n_target else None) as beside:
        write_models(beside, members, dataset, cache, decoding)
        if clips.n_target:
            predictor = Predictor(beside, manifest)
            prediction = predictor.predict(NewClips.of_dataset(dataset, predictor.pool))
            _refuse_unanswered(prediction, title(about))
            state, shares = prediction.state, prediction.probabilities
            writer_of(clips.task).write(clips.task, beside, prediction.filename, state, shares, extension)
            (beside / PREDICTIONS_NAME).write_text(predictions_csv(clips.task, prediction), encoding="utf-8")
            manifest |= describe_submission(clips.task, prediction.state, extension, kind)
        else:
            manifest |= describe_submission(clips.task, np.zeros(0, np.int64), extension, kind)
        config_yaml = dump_config(members[0].member.candidate.config)
        (beside / "config.yaml").write_text(config_yaml, encoding="utf-8")
        (beside / "ensemble.yaml").write_text(ensemble_yaml(manifest), encoding="utf-8")
        (beside / "MODEL_CARD.md").write_text(describe_bundle(manifest, config_yaml), encoding="utf-8")
    return output


def _refuse_unanswered(prediction: Prediction, name: str) -> None:
    unanswered = np.flatnonzero(prediction.state < 0)
    if len(unanswered):
        raise StudyError(
            f"{name}: {len(unanswered)} target clips have outputs that are not finite, "
            f"{prediction.filename[int(unanswered[0])]} first; export another trial"
        )


def _write_weights(folder: Path, models: Models) -> None:
    """One file for each fold, its tensors named `seedS.NAME`."""
    folder.mkdir()
    for fold in models.folds:
        prefix = f"fold{fold}."
        tensors = {
            name.removeprefix(prefix): np.ascontiguousarray(value)
            for name, value in models.weights.items()
            if name.startswith(prefix)
        }
        (folder / f"{part_name(fold)}.safetensors").write_bytes(save(tensors))


def _write_preprocessing(folder: Path, models: Models, dataset: Dataset, cache: FeatureCache) -> None:
    """What was fitted on each model's training clips, for each encoder of the pool."""
    names = list(dataset.encoders)
    config: Config = models.member.candidate.config
    for replica in build_replicas(0, config, dataset, models.folds):
        for view in replica.views.values():
            path = folder / part_name(view.fold) / f"{names[view.encoder]}.safetensors"
            if path.exists():  # another seed of the fold
                continue
            prepared = cache.prepared(names[view.encoder], view.fold, **view.preparation)
            tensors = dict(vars(prepared.preprocessing))
            if prepared.identity is not None:
                tensors |= {f"identity_{name}": value for name, value in vars(prepared.identity).items()}
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(save({name: np.ascontiguousarray(value) for name, value in tensors.items()}))
