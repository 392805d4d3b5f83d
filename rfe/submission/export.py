"""From a study or an ensemble to a bundle: fold models, how they are answered, and the answer for the target clips."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from rfe.config.load import change_config, dump_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.ensemble.candidates import read_study
from rfe.ensemble.prediction import EnsembleDecoder, answer_target, fit_final_decoder
from rfe.ensemble.selection import select_single
from rfe.ensemble.stored import StoredEnsemble
from rfe.errors import StudyError
from rfe.submission.bundle import write_bundle
from rfe.submission.card import describe_bundle
from rfe.submission.manifest import (
    describe_data,
    describe_ensemble,
    describe_submission,
    describe_trial,
    ensemble_yaml,
    title,
)
from rfe.submission.models import Models, Retrain, find_models
from rfe.submission.submission import VIDEO_EXTENSION, write_submission
from rfe.training.build import build_replicas
from rfe.workspace import Workspace


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
    """Write the bundle of a study's best configuration, an ensemble of one.

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
    record = read_study(workspace.study(study))
    member = select_single(record.candidates, trial).members[0]
    models = find_models(workspace, member, dataset, retrain)
    clips, candidate = dataset.clips, member.candidate
    source = slice(clips.n_source)
    decoder = fit_final_decoder(candidate.config, models.outputs, clips.state[source], clips.fold[source])
    answers = answer_target(decoder, models.outputs.target) if clips.n_target else np.zeros(0, np.int64)
    about = {"study": study, "trial": candidate.number} | describe_trial(candidate, record)
    output = output or workspace.root / "bundles" / f"{study}-trial-{candidate.number}"
    return _write(output, about, (models,), decoder.to_dict(), answers, workspace, dataset, extension)


def export_ensemble(
    workspace: Workspace,
    stored: StoredEnsemble,
    dataset: Dataset,
    *,
    output: Path | None = None,
    extension: str = VIDEO_EXTENSION,
    retrain: Retrain | None = None,
) -> Path:
    """Write the bundle of an ensemble that `rfe ensemble` chose.

    Args, returns and raises as `export_study`; default place `bundles/NAME` in the workspace.
    """
    clips = dataset.clips
    source = slice(clips.n_source)
    members = [find_models(workspace, member, dataset, retrain) for member in stored.ensemble.members]
    decoder = EnsembleDecoder(
        tuple(
            fit_final_decoder(
                change_config(one.member.candidate.config, {"decode.kind": "valid_states"}),
                one.outputs,
                clips.state[source],
                clips.fold[source],
            )
            for one in members
        ),
        tuple(member.weight for member in stored.ensemble.members),
        tuple(member.ratio_weight for member in stored.ensemble.members),
        stored.recalibration,
        stored.blend_share,
    )
    targets = [one.outputs.target for one in members]
    answers = decoder.answer(targets) if clips.n_target else np.zeros(0, np.int64)
    about = {"ensemble": stored.name} | describe_ensemble(stored)
    output = output or workspace.root / "bundles" / stored.name
    return _write(output, about, members, decoder.to_dict(), answers, workspace, dataset, extension)


def _write(
    output: Path,
    about: Mapping[str, Any],
    members: Sequence[Models],
    decoder: Mapping[str, Any],
    answers: NDArray[np.int64],
    workspace: Workspace,
    dataset: Dataset,
    extension: str,
) -> Path:
    """Fill and seal the bundle."""
    clips = dataset.clips
    names = clips.filename[clips.target].tolist()
    if (answers < 0).any():
        raise StudyError(
            f"{title(about)}: {int((answers < 0).sum())} target clips have outputs that are not finite, "
            f"{names[int(np.flatnonzero(answers < 0)[0])]} first; export another trial"
        )
    manifest = {
        **about,
        "members": [one.describe() for one in members],
        **describe_data([one.member.candidate.config for one in members], dataset),
        **describe_submission(answers, extension),
    }
    output, cache = output.absolute(), FeatureCache(dataset, workspace.cache)
    with write_bundle(output, manifest, names if clips.n_target else None) as beside:
        config_yaml = dump_config(members[0].member.candidate.config)
        (beside / "config.yaml").write_text(config_yaml, encoding="utf-8")
        (beside / "ensemble.yaml").write_text(ensemble_yaml(manifest), encoding="utf-8")
        (beside / "decoder.json").write_text(json.dumps(decoder, indent=1) + "\n", encoding="utf-8")
        (beside / "MODEL_CARD.md").write_text(describe_bundle(manifest, config_yaml), encoding="utf-8")
        for one in members:
            folder = beside / one.folder
            folder.mkdir(parents=True)
            (folder / "config.yaml").write_text(dump_config(one.member.candidate.config), encoding="utf-8")
            _write_weights(folder / "weights", one)
            _write_preprocessing(folder / "preprocessing", one.member.candidate.config, dataset, cache)
        if clips.n_target:
            write_submission(beside, names, answers, extension)
    return output


def _write_weights(folder: Path, models: Models) -> None:
    """One file for each fold, its tensors named `seedS.NAME`."""
    folder.mkdir()
    for fold in models.outputs.folds:
        prefix = f"fold{fold}."
        tensors = {
            name.removeprefix(prefix): np.ascontiguousarray(value)
            for name, value in models.weights.items()
            if name.startswith(prefix)
        }
        (folder / f"fold{fold}.safetensors").write_bytes(save(tensors))


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
            path.write_bytes(save({name: np.ascontiguousarray(value) for name, value in tensors.items()}))
