"""A trial of the books: while it is open, and the log of how it ended."""

from dataclasses import dataclass, replace
from math import isnan

from rfe.config.load import dump_config, flatten
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.data.metadata import Clips
from rfe.metrics.choice import PARTS
from rfe.metrics.intervals import InfluenceTable, score_interval
from rfe.search.work import Delivery
from rfe.tracking.base import TrialLog
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


def log_of_delivery(
    study: str, trial: OpenTrial, delivery: Delivery, dataset: Dataset, *, keep_weights: bool
) -> TrialLog:
    """How an open trial ended.

    Args:
        study: its name.
        trial: that was open.
        delivery: what came back of it.
        dataset: it was trained on.
        keep_weights: whatever its score.
    """
    result = delivery.result or TrialResult(trial.config_id, "failed", delivery.reason)
    if result.state == "complete" and isnan(result.score):
        result = replace(result, state="failed", reason="the data's folds hold no blend, so there is no score")
    return describe_trial(
        study,
        trial.number,
        replace(result, config_id=trial.config_id),
        flatten(trial.config),
        dump_config(trial.config),
        dataset.clips,
        tuple(dataset.encoders),
        errors=standard_errors(result, dataset.clips) if result.state == "complete" else None,
        tags={
            **({"lost_workers": str(delivery.lost)} if delivery.lost else {}),
            **({"arm": trial.arm} if trial.arm else {}),
            **({"keep": "weights"} if keep_weights else {}),
        },
    )


def copy_log(log: TrialLog, number: int) -> TrialLog:
    """The same result under another trial's number: tagged, without files of its own but its configuration."""
    original = log.tags.get("duplicate_of", str(log.number))
    files = {name: path for name, path in log.artifacts.items() if name == "config.yaml"}
    tags = {**log.tags, "duplicate_of": original}
    return replace(log, number=number, tags=tags, artifacts=files, weights=None, seconds=0.0, time=0.0)


def standard_errors(result: TrialResult, clips: Clips) -> dict[str, float]:
    """Metric -> standard error over actors and seeds."""
    source = slice(clips.n_source)
    table = InfluenceTable.of_answers(
        clips.task, clips.state[source], result.predicted_state, clips.actor[source], clips.fold[source]
    )
    return {part: score_interval(table, part).standard_error for part in PARTS}
