"""What the studies of a workspace hold, read from their journals: for lists, for one study's table, for its trials."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rfe.config.load import flatten
from rfe.config.schema import Config
from rfe.errors import ConfigError
from rfe.journal.events import TrialLog
from rfe.journal.records import read_records
from rfe.journal.study import StudyJournal, read_journal
from rfe.reporting.running import find_running
from rfe.reporting.summaries import StudySummary, read_summary
from rfe.search.changes import QueuedTrial, StudyChanges
from rfe.search.outcome import FrontTrial, study_front
from rfe.search_space.narrowing import narrowed_dimensions
from rfe.study import read_definition
from rfe.suggestions import unknown
from rfe.tracking.live import LiveStatus
from rfe.tracking.remote import RemoteStudy
from rfe.workspace import StudyFolder
from rfe.writing import PlainRecord

SORTS = ("score", "confirmed", "acc_presence", "acc_salience", "seconds", "number")
"""What a study's trials can be sorted by; times and numbers ascend, scores descend."""


@dataclass(frozen=True)
class TrialLine:
    """One trial of a study's table."""

    number: int
    state: str
    score: float | None
    acc_presence: float | None
    acc_salience: float | None
    confirmed: float | None
    """Mean over fresh seeds."""
    seconds: float | None
    searched: Mapping[str, Any]
    """Its values of what the study searches; a field that did not count in it is not there."""
    reason: str


@dataclass(frozen=True)
class StudyDetail(PlainRecord):
    """One study for a reader."""

    summary: StudySummary
    settings: Mapping[str, Any]
    space: Mapping[str, str]
    """Parameter -> its range in words."""
    caveats: tuple[str, ...]
    trials: tuple[TrialLine, ...]
    """The first ones in the order asked for."""
    live: LiveStatus | None = None
    """The live status of the process that searches it; None if none does."""
    front: tuple[TrialLine, ...] = ()
    """The Pareto front so far, best in the first objective first; empty with one objective."""
    narrowed: Mapping[str, str] = field(default_factory=dict)
    """Parameter -> the range that it had, of those that users narrowed."""
    narrowed_at: int = 0
    """The first trial that is asked for in the narrowed space."""
    queued: tuple[QueuedTrial, ...] = ()
    """What users asked for and is tried next, in this order."""
    pruned: Mapping[int, str] = field(default_factory=dict)
    """Open trial that users ended, and that ends so when the study goes on -> the reason."""


def describe_study(folder: StudyFolder, *, top: int = 20, sort: str = "score") -> StudyDetail:
    """One study with its `top` trials in the order of `sort`, one of `SORTS`.

    Raises:
        ConfigError: an unknown order.
    """
    if sort not in SORTS:
        raise ConfigError(f"--sort: {unknown('order', sort, SORTS)}")
    journal = read_journal(folder)
    lines = [_line(journal, trial) for trial in journal.trials.values()]
    ascending = sort in ("seconds", "number")

    def key(line: TrialLine) -> tuple[bool, float, int]:
        value = getattr(line, sort)
        return value is None, (value or 0.0) * (1 if ascending else -1), line.number

    changes = StudyChanges.read(read_records(folder.journal))
    return StudyDetail(
        summary=read_summary(folder),
        settings=journal.study.settings,
        space=journal.study.space,
        caveats=journal.study.caveats,
        trials=tuple(sorted(lines, key=key)[:top]),
        live=find_running(folder),
        front=tuple(_line(journal, journal.trials[one.number]) for one in _front(journal)),
        narrowed=_narrowed(folder, changes),
        narrowed_at=changes.narrowed_at,
        queued=tuple(changes.queue),
        pruned={number: why for number, why in sorted(changes.pruned.items()) if number not in journal.trials},
    )


def _narrowed(folder: StudyFolder, changes: StudyChanges) -> dict[str, str]:
    if not changes.ranges:
        return {}
    resolved = read_definition(folder.path).resolved
    return {one.name: one.describe() for one in narrowed_dimensions(resolved, changes.space(resolved))}


def _front(journal: StudyJournal) -> tuple[FrontTrial, ...]:
    objective = journal.study.settings.get("objective", "score")
    return study_front(journal.trials.values(), [objective] if isinstance(objective, str) else objective)


def _line(journal: StudyJournal, trial: TrialLog) -> TrialLine:
    names = [name for name in journal.study.space if not name.startswith("pool.")]
    if len(names) < len(journal.study.space):
        names = ["pool", *names]
    confirmation = journal.confirmations.get(trial.number)
    seconds = trial.seconds if trial.seconds == trial.seconds else None  # NaN where nothing ran
    return TrialLine(
        number=trial.number,
        state=trial.state,
        score=trial.score,
        acc_presence=trial.scores.get("acc_presence"),
        acc_salience=trial.scores.get("acc_salience"),
        confirmed=confirmation.mean if confirmation is not None else None,
        seconds=seconds,
        searched={name: trial.config[name] for name in names if name in trial.config},
        reason=trial.reason or (f"same as {trial.tags['duplicate_of']}" if "duplicate_of" in trial.tags else ""),
    )


def describe_remote(
    study: RemoteStudy, folder: StudyFolder, where: str, *, top: int = 20, sort: str = "score"
) -> StudyDetail:
    """One study with its best trials, as a tracking server has it.

    Args:
        study: its run.
        folder: with the study's journal, fetched from there.
        where: the server's address, without secrets.
        top, sort: as `describe_study`.
    """
    detail = describe_study(folder, top=top, sort=sort)
    summary = replace(detail.summary, state=study.state, changed=study.refreshed, folder=where)
    return replace(detail, summary=summary, live=study.live)


def changed_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration (dotted name -> value) that are not at their default, the pool always."""
    defaults = flatten(Config())
    return {name: value for name, value in config.items() if name == "pool" or value != defaults.get(name)}
