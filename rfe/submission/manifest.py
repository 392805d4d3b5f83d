"""Builds a bundle's manifest: the model's origin, its scores, and the software that made it."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.data.domains import resolve_target_actors
from rfe.data.scores import answer_influence
from rfe.ensemble.candidates import Candidate, ModelOutputs, StudyRecord
from rfe.ensemble.stored import StoredEnsemble
from rfe.metrics.choice import PARTS
from rfe.metrics.intervals import score_interval
from rfe.submission.layout import ModelKind
from rfe.task import Task
from rfe.tracking.provenance import git_commit, versions
from rfe.training.scoring import OutOfFold, answer
from rfe.workspace import StudyFolder

ANSWERED_BY: dict[ModelKind, str] = {
    "folds": (
        "The answers average the cross-validation's fold models, each of which was trained without one fold's actors; "
        "no model was trained on all labelled clips."
    ),
    "final": "The answers average models that were trained on all labelled clips.",
}
"""What answers the target clips."""
NO_TARGET = "The data has no target clips, so the bundle holds no submission."


def title(manifest: Mapping[str, Any]) -> str:
    """The name of what a bundle holds, for titles."""
    if "ensemble" in manifest:
        return f"ensemble {manifest['ensemble']}"
    return f"study {manifest['study']}, trial {manifest['trial']}"


def trial_entry(candidate: Candidate, record: StudyRecord, crossfit: Mapping[str, float]) -> dict[str, Any]:
    """The manifest's entry on the scores of a study's trial.

    Args:
        candidate: the trial.
        record: of its study.
        crossfit: see `crossfit_scores`.
    """
    scores = {"score": candidate.score}
    if candidate.confirmed:
        scores["score_confirmed"] = float(np.mean(candidate.confirmed))
    if len(candidate.confirmed) > 1:
        scores["score_confirmed_sd"] = float(np.std(candidate.confirmed, ddof=1))
    scores |= {name: value for name, value in record.scores.items() if name in ("score_best", "score_selected")}
    return {"scores": scores | dict(crossfit), "score_confirmed_by_seed": list(candidate.confirmed)}


def crossfit_scores(config: Config, outputs: ModelOutputs, dataset: Dataset) -> dict[str, float]:
    """Cross-fitted scores of one configuration, means over its seeds, with 95% intervals over actors."""
    clips = dataset.clips
    raw = outputs.source
    own = OutOfFold(*(np.asarray(one, np.float32) for one in (raw.presence_logits, raw.salience_logits, raw.fused)))
    predicted = answer([config], [own], clips)[0].predicted_state
    table = answer_influence(clips, predicted)
    scores: dict[str, float] = {}
    for part in PARTS:
        interval = score_interval(table, part)
        lower, upper = interval.bounds()
        found = {"": interval.estimate, "_low": lower, "_high": upper}
        scores |= {f"{part}_crossfit{ending}": value for ending, value in found.items() if np.isfinite(value)}
    return scores


def describe_ensemble(stored: StoredEnsemble) -> dict[str, Any]:
    """The manifest's entry on the scores of an ensemble; intervals are `..._low` and `..._high`."""
    scores: dict[str, float] = {}
    for name, value in stored.about["scores"].items():
        if isinstance(value, Mapping):
            found = {"": value["estimate"], "_low": value["low"], "_high": value["high"]}
            scores |= {f"{name}{ending}": number for ending, number in found.items() if number is not None}
        else:
            scores[name] = value
    about = {"method": stored.ensemble.method, "decoding": stored.decoding}
    return {**about, "scores": scores, "mlflow_run_id": stored.run_id}


def describe_data(configs: Sequence[Config], dataset: Dataset, caveats: Sequence[str] = ()) -> dict[str, Any]:
    """The manifest's entry on the data and on the software that made the bundle.

    Args:
        configs: of the members.
        dataset: their data.
        caveats: further ones than the data's own.
    """
    clips = dataset.clips
    actors = sorted(
        {
            resolve_target_actors(config.data.target_actors, clips)
            for config in configs
            if standardizes_by_actor(config, dataset)
        }
    )
    pool = {name for config in configs for name in (dataset.encoders if config.pool == "all" else config.pool)}
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": clips.task.to_dict(),
        "pool": sorted(pool),
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "simulated": dataset.simulated,
            "caveats": [*dataset.caveats, *caveats],
            "source_clips": clips.n_source,
            "target_clips": clips.n_target,
            "target_actors": actors,
            "encoders": {name: {"dim": file.dim, "sha256": file.sha256} for name, file in dataset.encoders.items()},
        },
        "git_commit": git_commit(),
        "versions": {"python": platform.python_version()} | versions(),
    }


def ensemble_yaml(manifest: Mapping[str, Any]) -> str:
    """`ensemble.yaml`: the members and their weights, for people."""
    names = ("study", "trial", "weight", "ratio_weight", "folds", "seeds", "folder")
    members = [{name: member[name] for name in names} for member in manifest["members"]]
    return yaml.safe_dump({"of": title(manifest), "models": manifest["models"], "members": members}, sort_keys=False)


def standardizes_by_actor(config: Config, dataset: Dataset) -> bool:
    """Whether any encoder of the configuration's pool is standardised by actor, so that it matters who is known."""
    standardize = config.data.standardize
    if isinstance(standardize, str):
        return standardize == "actor"
    return any(standardize.get(name) == "actor" for name in (dataset.encoders if config.pool == "all" else config.pool))


def mlflow_run(folder: StudyFolder, number: int) -> str | None:
    """The run that shows the trial; None where none is known (no tracking, or the study's folder came without it)."""
    try:
        runs = json.loads(folder.mlflow_runs.read_text(encoding="utf-8"))
        return str(runs["trial_run_ids"][str(number)])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def describe_submission(task: Task, answers: NDArray[np.int64], extension: str, kind: ModelKind) -> dict[str, Any]:
    """The manifest's entry on the submission.

    Args:
        task: whose states are answered.
        answers: [target clip] states; empty where the data has no target.
        extension: of the submission's keys.
        kind: of the models that answer.
    """
    if not len(answers):
        return {"submission": None, "no_submission": NO_TARGET}
    blends = int(task.state_is_blend[answers].sum())
    submission = {"clips": len(answers), "blends": blends, "extension": extension}
    return {"submission": submission, "answered_by": ANSWERED_BY[kind]}
