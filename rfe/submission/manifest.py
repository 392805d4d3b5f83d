"""What a bundle's manifest says: where the model comes from, how good it is, what made it."""

import json
import platform
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.data.domains import resolve_target_actors
from rfe.ensemble.candidates import Candidate, ModelOutputs, StudyRecord
from rfe.labels import STATE_IS_BLEND
from rfe.tracking.provenance import versions
from rfe.workspace import StudyFolder

PREVIEW = (
    "Preview: the answers average the cross-validation's fold models, each of which was trained without one fold's "
    "actors; no model was trained on all labelled clips."
)
NO_TARGET = "The data has no target clips, so the bundle holds no submission."


def describe_export(
    candidate: Candidate, record: StudyRecord, dataset: Dataset, outputs: ModelOutputs, models: str, run_id: str | None
) -> dict[str, Any]:
    """The manifest of a study's bundle, but for the submission and the files' hashes.

    Args:
        candidate: the exported trial.
        record: of its study.
        dataset: the study's data.
        outputs: of the exported fold models.
        models: a sentence on where the models come from.
        run_id: the trial's MLflow run, if known.
    """
    scores = {"score": candidate.score}
    if candidate.confirmed:
        scores["score_confirmed"] = float(np.mean(candidate.confirmed))
    if len(candidate.confirmed) > 1:
        scores["score_confirmed_sd"] = float(np.std(candidate.confirmed, ddof=1))
    scores |= {name: value for name, value in record.scores.items() if name in ("score_best", "score_selected")}
    clips, actors = dataset.clips, None
    if standardizes_by_actor(candidate.config, dataset):
        actors = resolve_target_actors(candidate.config.data.target_actors, clips)
    return {
        "study": candidate.study,
        "trial": candidate.number,
        "config_id": candidate.config_id,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": models,
        "pool": list(dataset.encoders) if candidate.config.pool == "all" else sorted(candidate.config.pool),
        "folds": list(outputs.folds),
        "seeds": list(outputs.seeds),
        "scores": scores,
        "score_confirmed_by_seed": list(candidate.confirmed),
        "data": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "simulated": dataset.simulated,
            "caveats": list(dataset.caveats),
            "source_clips": clips.n_source,
            "target_clips": clips.n_target,
            "target_actors": actors,
            "encoders": {name: {"dim": file.dim, "sha256": file.sha256} for name, file in dataset.encoders.items()},
        },
        "git_commit": record.study.git_commit,
        "mlflow_run_id": run_id,
        "versions": {"python": platform.python_version()} | versions(),
    }


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


def describe_submission(answers: NDArray[np.int64], extension: str) -> dict[str, Any]:
    """The manifest's word on the submission.

    Args:
        answers: [target clip] states; empty where the data has no target.
        extension: of the submission's keys.
    """
    if not len(answers):
        return {"submission": None, "no_submission": NO_TARGET}
    blends = int(STATE_IS_BLEND[answers].sum())
    return {"submission": {"clips": len(answers), "blends": blends, "extension": extension}, "preview": PREVIEW}
