"""The trials of a study as rows, from its journal; nothing here writes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from rfe.config.load import load_config
from rfe.errors import ConfigError
from rfe.journal.asking import (
    ASKING_KINDS,
    AskingEvent,
    LearntTrial,
    Origin,
    ScoresReported,
    TrialsAsked,
    TrialsLearnt,
    asking_event,
)
from rfe.journal.events import TrialLog
from rfe.journal.records import event_of, read_records
from rfe.search_space import ARM, find_point
from rfe.search_space.dimensions import Value
from rfe.study.definition import StudyDefinition, read_definition
from rfe.workspace import StudyFolder

State = Literal["running", "complete", "pruned", "failed"]


@dataclass(frozen=True)
class AskedTrial:
    """A trial that was asked for and is not trained yet."""

    number: int
    """Its identity everywhere: in Tune, MLflow, journal and folders."""
    params: dict[str, Value]
    """A value for every dimension; `effective_config` makes the configuration of it."""
    queued: str = ""
    """Id of the queued configuration that it is; "": the study asked for it by itself."""


@dataclass(frozen=True)
class TrialRow:
    """The current state of a trial."""

    number: int
    state: State
    params: Mapping[str, Value]
    """As it was asked for; empty if a journal of an earlier version does not say."""
    values: tuple[float, ...] | None = None
    """The objective's, of a complete trial; of a pruned one the last value that was reported, if there is one
    objective."""
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    """Of an ended trial: `config_id`, `reason`, its tags."""
    reports: Mapping[int, float] = field(default_factory=dict)
    """Epoch -> score that was compared with other trials'."""
    pruned_at: int | None = None
    """The epoch at which the pruner ended it, if it did."""
    origin: Origin | Literal[""] = ""
    """Where its parameters came from; "" where a journal of an earlier version does not say."""
    sampler: Mapping[str, Any] = field(default_factory=dict)
    """What the sampler keeps with the trial; see `sampler_state`."""
    started: datetime | None = None
    ended: datetime | None = None


@dataclass
class StudyHistory:
    """A study's trials as its journal records them."""

    rows: dict[int, TrialRow] = field(default_factory=dict)
    """By number; those of a warm start are none of them."""
    logs: list[TrialLog] = field(default_factory=list)
    """How trials ended, in the order of their ends."""
    order: list[ScoresReported | TrialLog] = field(default_factory=list)
    """Reports and ends in the order in which they came."""
    learnt: tuple[LearntTrial, ...] | None = None
    """Trials of another study; None: the journal does not say."""

    @property
    def is_empty(self) -> bool:
        """Whether no trial was asked for."""
        return not self.rows


@dataclass(frozen=True)
class StudyView:
    """A read-only view of a study."""

    folder: Path
    definition: StudyDefinition
    trials: tuple[TrialRow, ...]
    """By number."""


def read_study(folder: Path) -> StudyView:
    """Read the study in `folder`, also while another process searches it.

    Raises:
        StudyError: there is no study, or its journal is damaged.
    """
    definition = read_definition(folder)
    rows = read_history(StudyFolder(folder), definition).rows
    return StudyView(folder, definition, tuple(rows[number] for number in sorted(rows)))


def read_history(folder: StudyFolder, definition: StudyDefinition) -> StudyHistory:
    """Read each trial that was asked for from the journal in `folder`.

    Raises:
        StudyError: a record of the journal cannot be read.
    """
    history = StudyHistory()
    rows = history.rows
    asked: set[int] = set()
    for event in _read_events(folder):
        match event:
            case TrialsAsked():
                asked |= event.trials.keys()
                for number, params in event.trials.items():
                    state = event.sampler.get(number, {})
                    rows[number] = TrialRow(
                        number, "running", params, origin=event.origin.get(number, ""), sampler=state
                    )
            case ScoresReported():
                history.order.append(event)
                for report in event.reports:
                    row = rows.get(report.number) or TrialRow(report.number, "running", {})
                    reports = {**row.reports, report.epoch: report.score}
                    rows[report.number] = replace(
                        row, reports=reports, pruned_at=report.epoch if report.prunes else row.pruned_at
                    )
            case TrialsLearnt():
                history.learnt = event.trials
            case TrialLog():
                history.order.append(event)
                history.logs.append(event)
                row = rows.get(event.number) or TrialRow(event.number, "running", {})
                if event.number not in asked:
                    row = _completed(row, event, definition)
                rows[event.number] = end_row(row, event, definition.space.objectives)
    return history


def end_row(row: TrialRow, log: TrialLog, objectives: tuple[str, ...]) -> TrialRow:
    """Return the row of a running trial after it ended.

    Args:
        row: of the trial.
        log: how it ended.
        objectives: what is maximised.
    """
    ended = datetime.fromtimestamp(log.time)
    lasted_s = 0.0 if math.isnan(log.seconds) else log.seconds
    reports = row.reports
    values = None if log.score is None else tuple(log.scores[name] for name in objectives)
    if log.state == "pruned" and reports and objectives == ("score",):  # reports are scores
        values = (reports[max(reports)],)
    about = {"config_id": log.config_id, **log.tags, **({"reason": log.reason} if log.reason else {})}
    started = datetime.fromtimestamp(log.time - lasted_s)
    return replace(row, state=log.state, values=values, user_attrs=about, started=started, ended=ended)


def _read_events(folder: StudyFolder) -> Iterator[AskingEvent | TrialLog]:
    for record in read_records(folder.journal):
        if record.kind in ASKING_KINDS:
            yield asking_event(record)
        elif record.kind == "trial":
            event = event_of(record, folder)
            assert isinstance(event, TrialLog)
            yield event


def _completed(row: TrialRow, log: TrialLog, definition: StudyDefinition) -> TrialRow:
    """The row with what journals of earlier versions did not record: parameters and reports."""
    params = row.params
    if not params and definition.resolved.dimensions:
        params = _point(log, definition)
    reports = row.reports
    if not reports and definition.space.pruner.kind != "none" and "duplicate_of" not in log.tags:
        reports = {epoch: score for epoch, score in log.curves.get("score", []) if math.isfinite(score)}
    return replace(row, params=params, reports=reports)


def _point(log: TrialLog, definition: StudyDefinition) -> Mapping[str, Value]:
    """The parameters of a trial whose asking the journal does not have; empty if they cannot be told."""
    if not log.config_id:
        return log.config  # values that do not go together are recorded as they were asked for
    try:
        return find_point(definition.resolved, load_config(log.config), log.tags.get(ARM, "")) or {}
    except ConfigError:
        return {}
