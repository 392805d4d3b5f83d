"""What the studies of a workspace hold, read from their journals: for lists, for one study's table, for its trials."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rfe.config.fields import unknown
from rfe.config.load import flatten
from rfe.config.schema import Config
from rfe.errors import ConfigError, StudyError
from rfe.reporting.running import find_running
from rfe.search.outcome import FrontTrial, study_front
from rfe.tracking.base import ConfirmationLog, OutcomeLog, StudyLog, TrialLog
from rfe.tracking.live import LiveStatus
from rfe.tracking.records import read_events
from rfe.tracking.remote import RemoteStudy
from rfe.workspace import StudyFolder, Workspace

SORTS = ("score", "confirmed", "acc_presence", "acc_salience", "seconds", "number")
"""What a study's trials can be sorted by; times and numbers ascend, scores descend."""


@dataclass(frozen=True)
class StudySummary:
    """One line of the list of studies."""

    name: str
    state: str
    """`running`, `interrupted` (neither running nor ended well), or how it ended: `finished`, `stopped`, `failed`."""
    data: str
    simulated: bool
    trials: Mapping[str, int]
    """`complete`, `pruned`, `failed`."""
    score_best: float | None
    """Of the best trial: optimistic, as the same clips chose it."""
    score_selected: float | None
    """As of the study's last end; None before the first."""
    score_confirmed: float | None
    changed: float
    """Last entry of the journal, seconds since 1970; 0 of an empty one."""
    folder: str

    @property
    def compared(self) -> bool:
        """Whether a best trial was chosen among several."""
        return sum(self.trials.values()) > 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


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
class StudyDetail:
    """One study for a reader."""

    summary: StudySummary
    settings: Mapping[str, Any]
    space: Mapping[str, str]
    """Parameter -> its range in words."""
    caveats: tuple[str, ...]
    trials: tuple[TrialLine, ...]
    """The first ones in the order asked for."""
    live: LiveStatus | None = None
    """What the process that works on it says of itself; None if there is none."""
    front: tuple[TrialLine, ...] = ()
    """The Pareto front so far, best in the first objective first; empty with one objective."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


@dataclass(frozen=True)
class StudyJournal:
    """What a study's journal says, each trial as last recorded."""

    study: StudyLog
    trials: dict[int, TrialLog]
    confirmations: dict[int, ConfirmationLog]
    outcome: OutcomeLog | None
    """How the study last ended."""
    ended: bool
    """Whether nothing came after that."""
    changed: float

    def find_trial(self, number: int) -> TrialLog:
        """A trial that ended.

        Raises:
            StudyError: there is none.
        """
        if number not in self.trials:
            last = f"its trials go from 0 to {max(self.trials)}" if self.trials else "it has no trial yet"
            raise StudyError(f"study {self.study.study!r} has no finished trial {number}; {last}")
        return self.trials[number]


def find_study(workspace: Workspace, name: str) -> StudyFolder:
    """The folder of an existing study.

    Raises:
        StudyError: there is none of this name; with the nearest.
    """
    folder = workspace.study(name)
    if not folder.journal.is_file():
        names = workspace.study_names()
        if (workspace.ensembles / name).is_dir():
            raise StudyError(f"{name!r} is an ensemble, not a study; it is kept in {workspace.ensembles / name}")
        if not names:
            raise StudyError(f"no study {name!r}: {workspace.root} holds no studies; is this the right --workspace?")
        raise StudyError(f"{unknown('study', name, names)} (`rfe studies list` shows all of {workspace.root})")
    return folder


def summarize_study(folder: StudyFolder) -> StudySummary:
    """One study in a line."""
    return _summarize(folder, read_journal(folder))


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

    return StudyDetail(
        summary=_summarize(folder, journal),
        settings=journal.study.settings,
        space=journal.study.space,
        caveats=journal.study.caveats,
        trials=tuple(sorted(lines, key=key)[:top]),
        live=find_running(folder),
        front=tuple(_line(journal, journal.trials[one.number]) for one in _front(journal)),
    )


def read_trial(folder: StudyFolder, number: int) -> Mapping[str, Any]:
    """The effective configuration of a trial, dotted name -> value.

    Raises:
        StudyError: there is no such study or trial.
    """
    return read_journal(folder).find_trial(number).config


def study_source(folder: StudyFolder) -> tuple[str, tuple[str, ...] | None]:
    """(data folder or its URI, encoders) that a study was searched on.

    Raises:
        StudyError: the journal does not say.
    """
    settings = read_journal(folder).study.settings
    if "data.path" not in settings:
        raise StudyError(f"study {folder.name!r}: its journal does not say where the data is; name it with --data")
    encoders = settings.get("data.encoders")
    return str(settings["data.path"]), None if encoders is None else tuple(encoders)


def read_journal(folder: StudyFolder) -> StudyJournal:
    """The study's journal, read once."""
    study, trials, confirmations = StudyLog(folder.name), {}, {}
    outcome, ended = None, False
    changed = folder.journal.stat().st_mtime if folder.journal.is_file() else 0.0
    for event in read_events(folder):
        ended = False
        if isinstance(event, StudyLog):
            study = event
        elif isinstance(event, TrialLog):
            trials[event.number] = event
        elif isinstance(event, ConfirmationLog):
            confirmations[event.number] = event
        else:
            outcome, ended = event, True
    return StudyJournal(study, dict(sorted(trials.items())), confirmations, outcome, ended, changed)


def _summarize(folder: StudyFolder, journal: StudyJournal) -> StudySummary:
    states = [trial.state for trial in journal.trials.values()]
    scores = [trial.score for trial in journal.trials.values() if trial.score is not None]
    ended = journal.outcome.scores if journal.outcome is not None else {}
    if find_running(folder) is not None:
        state = "running"
    else:
        state = journal.outcome.state if journal.outcome is not None and journal.ended else "interrupted"
    return StudySummary(
        name=folder.name,
        state=state,
        data=journal.study.data,
        simulated=journal.study.simulated,
        trials={name: states.count(name) for name in ("complete", "pruned", "failed")},
        score_best=max(scores, default=None),
        score_selected=ended.get("score_selected"),
        score_confirmed=ended.get("score_confirmed"),
        changed=journal.changed,
        folder=str(folder.path),
    )


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


def summarize_remote(study: RemoteStudy, where: str) -> StudySummary:
    """A study in a line, as a tracking server has it.

    Args:
        study: its run.
        where: the server's address, without secrets.
    """
    scores = study.metrics
    return StudySummary(
        name=study.name,
        state=study.state,
        data=study.tags.get("rfe.data", ""),
        simulated=study.tags.get("rfe.simulated") == "true",
        trials={name: int(scores.get(f"trials_{name}", 0)) for name in ("complete", "pruned", "failed")},
        score_best=scores.get("best_score"),
        score_selected=scores.get("score_selected"),
        score_confirmed=scores.get("score_confirmed"),
        changed=study.refreshed,
        folder=where,
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
