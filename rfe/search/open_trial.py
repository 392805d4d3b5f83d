"""An open trial, and the log of how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isnan, nan
from typing import Literal

from rfe.config.load import dump_config, flatten
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.data.metadata import Clips
from rfe.data.scores import answer_influence
from rfe.journal.events import TrialLog
from rfe.metrics.choice import PARTS
from rfe.metrics.intervals import score_interval
from rfe.search.work import ItemResult
from rfe.tracking.contents import describe_trial
from rfe.training.record import TrialResult


@dataclass(frozen=True)
class OpenTrial:
    """A trial that was asked for and has not ended."""

    number: int
    config: Config
    config_id: str
    arm: str = ""
    """Its name, in a study of arms."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Where it comes from, if a user asked for it."""


def log_of_result(
    study: str, trial: OpenTrial, item_result: ItemResult, dataset: Dataset, *, keep_weights: bool
) -> TrialLog:
    """How an open trial ended.

    Args:
        study: its name.
        trial: that was open.
        item_result: what came back of it.
        dataset: it was trained on.
        keep_weights: whatever its score.
    """
    state: Literal["pruned", "failed"] = "pruned" if item_result.state == "pruned" else "failed"
    result = item_result.result or TrialResult(trial.config_id, state, item_result.reason)
    if result.state == "complete" and isnan(result.score):
        result = replace(result, state="failed", reason="the data's folds hold no blend, so there is no score")
    log = describe_trial(
        study,
        trial.number,
        replace(result, config_id=trial.config_id),
        flatten(trial.config),
        dump_config(trial.config),
        dataset.clips,
        tuple(dataset.encoders),
        errors=standard_errors(result, dataset.clips) if result.state == "complete" else None,
        tags={
            **({"lost_workers": str(item_result.lost)} if item_result.lost else {}),
            **({"arm": trial.arm} if trial.arm else {}),
            **trial.tags,
            **({"keep": "weights"} if keep_weights else {}),
        },
    )
    return replace(log, worker=item_result.worker, wait_s=nan if item_result.wait_s is None else item_result.wait_s)


def copy_log(log: TrialLog, number: int) -> TrialLog:
    """The same result under another trial's number: tagged, without files of its own but its configuration."""
    original = log.tags.get("duplicate_of", str(log.number))
    files = {name: path for name, path in log.artifacts.items() if name == "config.yaml"}
    tags = {**log.tags, "duplicate_of": original}
    copy = replace(log, number=number, tags=tags, artifacts=files, weights=None, seconds=0.0, time=0.0)
    return replace(copy, memory_mb=nan, gpu_memory_mb=nan, gpu_percent=nan, wait_s=nan, worker="")  # not trained


def standard_errors(result: TrialResult, clips: Clips) -> dict[str, float]:
    """Metric -> standard error over actors and seeds."""
    table = answer_influence(clips, result.predicted_state)
    return {part: score_interval(table, part).standard_error for part in PARTS}
