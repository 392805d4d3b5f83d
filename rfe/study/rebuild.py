"""Optuna's log made again from the study's journal, which is the truth: a log that is lost, cut or damaged costs
nothing."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from rfe.errors import StudyError
from rfe.search_space.dimensions import Value
from rfe.study.definition import StudyDefinition, read_definition
from rfe.study.log import RECORD, StudyLog, find_damage
from rfe.study.pruning import keep_reports
from rfe.study.samplers import build_distributions
from rfe.study.trials import LOG_FILE, STATES, State, open_study, read_trials
from rfe.study.warm_start import FIRST_TRIAL, SOURCE, earlier_trials, is_own
from rfe.writing import write_bytes

DAMAGED_FILE = "optuna.log.damaged"
"""Where a log that was replaced is kept."""
LOST = "its parameters were in Optuna's log alone, which was lost"


@dataclass(frozen=True)
class JournaledTrial:
    """What the journal says of a trial."""

    number: int
    params: Mapping[str, Value] | None = None
    """As it was asked for; None: the journal does not say."""
    state: State | None = None
    """How it ended; None: it has not."""
    values: tuple[float, ...] | None = None
    """The objective's, of a complete trial."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What it is told with."""
    reports: Mapping[int, float] = field(default_factory=dict)
    """Epoch -> score, which pruners compare."""
    ended: float = 0.0
    """Seconds since 1970."""
    seconds: float = 0.0


@dataclass(frozen=True)
class LogState:
    """Optuna's log as it was found, beside what the journal says."""

    fault: str
    """Why it cannot be gone on with, e.g. `line 7 is damaged`; "" where it can."""
    trials: Sequence[FrozenTrial]
    """As far as it can be read."""

    def unjournaled(self, journaled: Mapping[int, JournaledTrial]) -> list[int]:
        """Trials that ended here and not in the journal, which is written first: the journal has lost them."""
        ended = (TrialState.COMPLETE, TrialState.PRUNED)
        told = {number for number, one in journaled.items() if one.state is not None}
        return [one.number for one in self.trials if is_own(one) and one.state in ended and one.number not in told]


def inspect_log(folder: Path, definition: StudyDefinition, journaled: Mapping[int, JournaledTrial]) -> LogState:
    """Hold the log of the study in `folder` against its journal."""
    path = folder / LOG_FILE
    if not path.is_file():
        return LogState("is missing" if journaled else "", ())
    if damage := find_damage(path):
        return LogState(f"line {damage.line} is damaged ({damage.reason})", _read_part(path, damage.offset))
    try:
        trials = read_trials(folder)
    except StudyError:  # an operation that Optuna does not take
        return LogState("cannot be read by Optuna", ())
    names = build_distributions(definition.resolved).keys()
    there = {one.number for one in trials if one.state == TrialState.FAIL or one.params.keys() == names}
    waiting = {one.number for one in trials if one.state == TrialState.WAITING}
    lacking = sorted(journaled.keys() - (there - waiting))
    if not lacking:
        return LogState("", trials)
    more = f" and {len(lacking) - 1} more that the journal has" if len(lacking) > 1 else ", which the journal has"
    return LogState(f"lacks trial {lacking[0]}{more}", trials)


def rebuild_log(
    folder: Path, definition: StudyDefinition, journaled: Mapping[int, JournaledTrial], found: LogState
) -> None:
    """Write the log again: each trial as the log has it while that can be read, else as the journal has it.

    What neither knows of (trials asked for just before a crash by an earlier version, which journaled no asking) fails.
    The former file is kept beside as `optuna.log.damaged`.
    """
    path = folder / LOG_FILE
    distributions = build_distributions(definition.resolved)
    kept = {one.number: one for one in found.trials if _is_whole(one, distributions)}
    n = 1 + max([*kept, *journaled], default=-1)
    warm = _earlier(folder, definition, min(journaled, default=0)) if definition.warm_start else []
    trials = []
    for number in range(n):
        former = kept.get(number)
        if number in journaled and not _says_as_much(former, journaled[number]):
            trial = _of_journal(journaled[number], definition, distributions, former)
            first = number - len(warm)
            if first < len(definition.resolved.first_trials):
                trial.set_user_attr(FIRST_TRIAL, first)
        elif former is not None:
            trial = former
        elif number < len(warm):
            trial = warm[number]
        else:
            trial = _lost(JournaledTrial(number))
        trials.append(trial)
    with TemporaryDirectory(dir=folder, prefix=".rebuilt.") as scratch:
        log = StudyLog(Path(scratch) / LOG_FILE)
        study = open_study(log, definition)
        with log.whole():
            study.add_trials(trials)
        content = (Path(scratch) / LOG_FILE).read_bytes()
    if path.is_file():
        write_bytes(folder / DAMAGED_FILE, path.read_bytes())
    write_bytes(path, content)


def _read_part(path: Path, size: int) -> Sequence[FrozenTrial]:
    """The trials that a log's first `size` bytes tell of."""
    with TemporaryDirectory(dir=path.parent, prefix=".read.") as scratch:
        with path.open("rb") as file:
            (Path(scratch) / LOG_FILE).write_bytes(file.read(size))
        try:
            return read_trials(Path(scratch))
        except StudyError:
            return ()


def _is_whole(trial: FrozenTrial, distributions: Mapping[str, BaseDistribution]) -> bool:
    """Whether nothing of it is missing; one that waits has only what was fixed beforehand."""
    if not is_own(trial) or trial.state in (TrialState.WAITING, TrialState.FAIL):
        return True
    return bool(trial.params.keys() == distributions.keys())


def _says_as_much(former: FrozenTrial | None, one: JournaledTrial) -> bool:
    """Whether the log knows what the journal does of a trial: that it was asked for, and how it ended."""
    return former is not None and former.state != TrialState.WAITING and (former.state.is_finished() or not one.state)


def _of_journal(
    one: JournaledTrial,
    definition: StudyDefinition,
    distributions: Mapping[str, BaseDistribution],
    former: FrozenTrial | None,
) -> FrozenTrial:
    params = dict(one.params or {})
    attributes: dict[str, Any] = {RECORD: dict(one.attributes)} if one.state else {}
    if params.keys() != distributions.keys() and one.state != "failed":
        return _lost(one)
    used = {name: distributions[name] for name in params if name in distributions}
    several = len(definition.space.objectives) > 1
    values = one.values
    if one.state == "pruned" and one.reports and not several:
        values = (one.reports[max(one.reports)],)  # as Optuna has it
    try:
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING if one.state is None else STATES[one.state],
            params={name: params[name] for name in used},
            distributions=used,
            values=values,
            user_attrs=attributes,
            system_attrs=former.system_attrs if former is not None else None,  # generations of evolutionary samplers
        )
    except ValueError:  # parameters outside their range
        return _lost(one)
    keep_reports(trial, one.reports, several=several)
    if one.state is not None:
        trial.datetime_complete = datetime.fromtimestamp(one.ended)
        trial.datetime_start = trial.datetime_complete - timedelta(seconds=one.seconds)
    return trial


def _lost(one: JournaledTrial) -> FrozenTrial:
    return optuna.trial.create_trial(state=TrialState.FAIL, user_attrs={RECORD: {"reason": LOST, **one.attributes}})


def _earlier(folder: Path, definition: StudyDefinition, n: int) -> list[FrozenTrial]:
    """The first `n` trials, which the study learnt from another one; failed ones in the place of what is gone."""
    source = folder.parent / str(definition.warm_start)
    found: list[FrozenTrial] = []
    with suppress(StudyError):  # it was deleted: what was learnt from it is forgotten
        found = earlier_trials(read_definition(source), read_trials(source), definition)[:n]
    lost = {SOURCE: f"{definition.warm_start}/lost"}
    return found + [optuna.trial.create_trial(state=TrialState.FAIL, user_attrs=lost) for _ in range(n - len(found))]
