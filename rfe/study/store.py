"""The study's trials: asked of Optuna, kept in its journal storage, told when they end. One process writes."""

import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from rfe.errors import StudyError
from rfe.search_space.schema import Value
from rfe.study.definition import StudyDefinition, check_unchanged, read_definition, write_definition
from rfe.study.log import RECORD, StudyLog, reopen_trials
from rfe.study.pruning import build_pruner, report_score
from rfe.study.samplers import build_distributions, build_sampler, cohort_seed
from rfe.workspace import cut_torn_line

LOG_FILE = "optuna.log"
LOCK_FILE = "study.lock"
LOCK_WAIT_S = 1.0
"""Whoever only looks whether the lock is held, holds it for a moment."""
_FIRST_TRIAL = "first_trial"

State = Literal["complete", "pruned", "failed"]
_STATES: dict[str, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
_NAMES: dict[TrialState, str] = {
    **{state: name for name, state in _STATES.items()},
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class Asked:
    """A trial that waits to be trained."""

    number: int
    """Its identity everywhere: in Tune, MLflow, journal and folders."""
    params: dict[str, Value]
    """A value for every dimension; `effective_config` makes the configuration of it."""


@dataclass(frozen=True)
class TrialRow:
    """A trial as it stands."""

    number: int
    state: str
    """`waiting`, `running`, `complete`, `pruned` or `failed`."""
    params: dict[str, Value]
    values: tuple[float, ...] | None
    """The objective's, of a complete trial; of a pruned one the last value that was reported."""
    user_attrs: dict[str, Any]
    """What it was told with: `config_id`, `reason`, ..."""
    started: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True)
class StudyView:
    """A study to look at; nothing of it is written."""

    folder: Path
    definition: StudyDefinition
    trials: tuple[TrialRow, ...]


class StudyStore:
    """The one writer of a study's trials; a second one is kept out by a lock that ends with the process.

    Use `StudyStore.open`, and `close` (or `with`) when done.
    """

    def __init__(self, folder: Path, definition: StudyDefinition, lock: FileLock, reopened: Sequence[int] = ()) -> None:
        self.folder, self.definition = folder, definition
        self.reopened = tuple(reopened)
        """Trials whose end was taken back; see `open`."""
        self._lock = lock
        self._distributions = build_distributions(definition.resolved)
        self._pruner = build_pruner(definition.space.pruner)
        self._log = StudyLog(folder / LOG_FILE)
        storage = _open_storage(self._log)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                study_name=definition.space.study, storage=storage, direction="maximize", load_if_exists=True
            )
        self._enqueue_first_trials()
        self._fail_unrecorded()

    @classmethod
    def open(cls, folder: Path, definition: StudyDefinition, *, ended: Collection[int] | None = None) -> "StudyStore":
        """Create the study in `folder`, or go on with it.

        Budget, limits, confirmation, sampler, pruner and cohort size may differ from the last time.

        Args:
            folder: of the study.
            definition: what the study is.
            ended: the only trials that are believed to have ended; the others' ends are taken back. None: all are.

        Raises:
            StudyError: the study there has another space, base, objective, seed or data (with the differences), or
                another process works on it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_FILE, thread_local=False)  # whichever thread closes, the lock is free
        try:
            lock.acquire(timeout=LOCK_WAIT_S)
        except Timeout:
            raise StudyError(
                f"study {definition.space.study} in {folder} is being worked on by another process; wait for it, stop "
                "it, or give this study another name (--study NAME)"
            ) from None
        try:
            check_unchanged(folder, definition)
            write_definition(folder, definition)
            cut_torn_line(folder / LOG_FILE)
            reopened = () if ended is None else reopen_trials(folder / LOG_FILE, ended)
            return cls(folder, definition, lock, reopened)
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        """Let others work on the study."""
        self._lock.release()

    def __enter__(self) -> "StudyStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, n: int) -> list[Asked]:
        """The next `n` trials, one cohort. They stay `running` until told, also over a restart."""
        first = self._next_number()
        self._study.sampler = build_sampler(self.definition.space.sampler, cohort_seed(self.definition.seed, first))
        asked = []
        for _ in range(n):
            trial = self._study.ask(self._distributions)
            asked.append(Asked(trial.number, dict(trial.params)))
        self._log.sync()
        return asked

    def report(self, number: int, epoch: int, score: float) -> bool:
        """Keep the score that trial `number` has after `epoch`, and answer whether it should end as pruned.

        The answer for an epoch that was reported before (a trial that goes on from a checkpoint) is what it was. A
        score that is not finite is not kept, and prunes nothing: such a trial fails when it ends.

        Raises:
            StudyError: there is no such trial.
        """
        trial = self._trial(number)
        if trial.state.is_finished() or not math.isfinite(score):
            return False
        return report_score(self._study, self._pruner, trial, epoch, score)

    def tell(
        self,
        number: int,
        *,
        state: State,
        values: tuple[float, ...] | None = None,
        user_attrs: Mapping[str, Any] | None = None,
    ) -> bool:
        """Finish trial `number`.

        Args:
            number: a trial that was asked for.
            state: how it ended; a score that is not finite is a failure, not a value.
            values: the objective's, of a complete trial.
            user_attrs: plain values to keep with it, `config_id` and `reason` among them.

        Returns:
            True; False if it had ended before, and then nothing is changed.

        Raises:
            StudyError: there is no such trial, or a complete trial without one finite value.
        """
        trial = self._trial(number)
        if trial.state.is_finished():
            return False
        if state == "complete" and (values is None or len(values) != 1 or not math.isfinite(values[0])):
            raise StudyError(
                f"trial {number} cannot be complete with values {values}; tell it as failed, with a reason"
            )
        if user_attrs:
            # Optuna offers this by the trial's object only, which is gone after a restart.
            self._study._storage.set_trial_user_attr(trial._trial_id, RECORD, dict(user_attrs))
        self._study.tell(number, values if state == "complete" else None, state=_STATES[state])
        self._log.sync()
        return True

    def trials(self) -> list[TrialRow]:
        """All trials in the order of their numbers."""
        return [_row(trial) for trial in self._study.get_trials(deepcopy=False)]

    def running(self) -> list[Asked]:
        """Trials asked for and not told, of this process or an earlier one: they are trained under the same number."""
        return [Asked(row.number, row.params) for row in self.trials() if row.state == "running"]

    def finished(self, config_id: str) -> int | None:
        """The first complete trial told with this `config_id`; None if there is none."""
        for row in self.trials():
            if row.state == "complete" and row.user_attrs.get("config_id") == config_id:
                return row.number
        return None

    def _trial(self, number: int) -> FrozenTrial:
        trials = self._study.get_trials(deepcopy=False)
        if not 0 <= number < len(trials):
            raise StudyError(f"study {self.definition.space.study} has no trial {number}; it has {len(trials)}")
        return trials[number]

    def _next_number(self) -> int:
        trials = self._study.get_trials(deepcopy=False)
        waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
        return min(waiting, default=len(trials))

    def _enqueue_first_trials(self) -> None:
        queued = {trial.user_attrs.get(_FIRST_TRIAL) for trial in self._study.get_trials(deepcopy=False)}
        for index, params in enumerate(self.definition.resolved.first_trials):
            if index not in queued:
                self._study.enqueue_trial(params, user_attrs={_FIRST_TRIAL: index})

    def _fail_unrecorded(self) -> None:
        """A process that died while it asked leaves a trial without all its parameters; nobody can train that."""
        for row in self.trials():
            if row.state == "running" and row.params.keys() != self._distributions.keys():
                self.tell(
                    row.number,
                    state="failed",
                    user_attrs={"reason": "the process ended before the trial's parameters were recorded"},
                )


def read_study(folder: Path) -> StudyView:
    """The study in `folder` as it stands, also while another process works on it.

    Raises:
        StudyError: there is no study.
    """
    definition = read_definition(folder)
    if not (folder / LOG_FILE).is_file():
        return StudyView(folder, definition, ())
    storage = _open_storage(StudyLog(folder / LOG_FILE))
    trials = [_row(one) for study in storage.get_all_studies() for one in storage.get_all_trials(study._study_id)]
    return StudyView(folder, definition, tuple(trials))


def _open_storage(log: StudyLog) -> JournalStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return JournalStorage(log)


def _row(trial: FrozenTrial) -> TrialRow:
    values = None if trial.values is None else tuple(float(value) for value in trial.values)
    return TrialRow(
        trial.number,
        _NAMES[trial.state],
        dict(trial.params),
        values,
        dict(trial.user_attrs.get(RECORD, {})),
        trial.datetime_start,
        trial.datetime_complete,
    )
