"""What a bundle's manifest says: where the model comes from, how good it is, what made it."""

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
from rfe.ensemble.candidates import Candidate, StudyRecord
from rfe.ensemble.stored import StoredEnsemble
from rfe.labels import STATE_IS_BLEND
from rfe.tracking.provenance import versions
from rfe.workspace import StudyFolder

PREVIEW = (
    "Preview: the answers average the cross-validation's fold models, each of which was trained without one fold's "
    "actors; no model was trained on all labelled clips."
)
NO_TARGET = "The data has no target clips, so the bundle holds no submission."


def title(manifest: Mapping[str, Any]) -> str:
    """What a bundle is of."""
    if "ensemble" in manifest:
        return f"ensemble {manifest['ensemble']}"
    return f"study {manifest['study']}, trial {manifest['trial']}"


def describe_trial(candidate: Candidate, record: StudyRecord) -> dict[str, Any]:
    """The manifest's word on the scores of a study's trial."""
    scores = {"score": candidate.score}
    if candidate.confirmed:
        scores["score_confirmed"] = float(np.mean(candidate.confirmed))
    if len(candidate.confirmed) > 1:
        scores["score_confirmed_sd"] = float(np.std(candidate.confirmed, ddof=1))
    scores |= {name: value for name, value in record.scores.items() if name in ("score_best", "score_selected")}
    return {"scores": scores, "score_confirmed_by_seed": list(candidate.confirmed)}


def describe_ensemble(stored: StoredEnsemble) -> dict[str, Any]:
    """The manifest's word on the scores of an ensemble; intervals stand as `..._low` and `..._high`."""
    scores: dict[str, float] = {}
    for name, value in stored.about["scores"].items():
        if isinstance(value, Mapping):
            scores |= {name: value["estimate"], f"{name}_low": value["lower_95"], f"{name}_high": value["upper_95"]}
        else:
            scores[name] = value
    return {"method": stored.ensemble.method, "scores": scores}


def describe_data(configs: Sequence[Config], dataset: Dataset) -> dict[str, Any]:
    """The manifest's word on the data, and on what made the bundle.

    Args:
        configs: of the members.
        dataset: their data.
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
        "pool": sorted(pool),
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
        "versions": {"python": platform.python_version()} | versions(),
    }


def ensemble_yaml(manifest: Mapping[str, Any]) -> str:
    """`ensemble.yaml`: the members and their weights, for people."""
    names = ("study", "trial", "weight", "ratio_weight", "folds", "seeds", "folder")
    members = [{name: member[name] for name in names} for member in manifest["members"]]
    return yaml.safe_dump({"of": title(manifest), "models": "fold models", "members": members}, sort_keys=False)


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
