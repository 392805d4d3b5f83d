"""The study's trials: asked of Optuna, kept in its journal storage, told when they end. One process writes."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from rfe.errors import StudyError
from rfe.locking import acquire_lock
from rfe.study.definition import (
    DEFINITION_FILE,
    JOURNAL_FILE,
    StudyDefinition,
    read_definition,
    write_definition,
)
from rfe.study.distinct import DistinctSampler, GridSampler, Known
from rfe.study.log import RECORD, StudyLog, reopen_trials
from rfe.study.opening import check_opening
from rfe.study.pruning import build_pruner, report_score
from rfe.study.rebuild import JournaledTrial, inspect_log, rebuild_log
from rfe.study.samplers import build_distributions, build_sampler, cohort_seed
from rfe.study.trials import LOG_FILE, STATES, Asked, State, TrialRow, open_study, row_of
from rfe.study.warm_start import FIRST_TRIAL, SOURCE, is_own
from rfe.writing import cut_torn_line

LOCK_FILE = "study.lock"
LOCK_WAIT_S = 1.0
"""How long a status check may hold the lock."""


class StudyStore:
    """The one writer of a study's trials; a second one is kept out by a lock that ends with the process.

    Use `StudyStore.open`, and `close` (or `with`) when done.
    """

    def __init__(
        self,
        folder: Path,
        definition: StudyDefinition,
        lock: FileLock,
        earlier: Sequence[FrozenTrial] = (),
        reopened: Sequence[int] = (),
        fault: str = "",
    ) -> None:
        self.folder, self.definition = folder, definition
        self.reopened = tuple(reopened)
        """Trials whose end was taken back; see `open`."""
        self.fault = fault
        """Why Optuna's log was rebuilt from the journal; "" if it was not."""
        self._lock = lock
        self._distributions = build_distributions(definition.resolved)
        self._pruner = build_pruner(definition.space.pruner)
        self._known = Known(definition.resolved)
        self._grid = (
            GridSampler(definition.resolved, self._distributions, self._known)
            if definition.space.sampler.kind == "grid"
            else None
        )
        self._log = StudyLog(folder / LOG_FILE)
        self._study = open_study(self._log, definition)
        self._learn(earlier)
        self._enqueue_first_trials()
        self._fail_unrecorded()
        for row in self.trials():
            if row.params.keys() == self._distributions.keys():
                self._known.add(row.params)

    @classmethod
    def open(
        cls,
        folder: Path,
        definition: StudyDefinition,
        *,
        warm_start: Path | None = None,
        journal: Callable[[], Mapping[int, JournaledTrial]] | None = None,
        reopen: bool = False,
    ) -> "StudyStore":
        """Create the study in `folder`, or go on with it.

        Budget, limits, confirmation, sampler, pruner and cohort size may differ from the last time.

        Args:
            folder: the study's own.
            definition: what it is.
            warm_start: folder of a study whose trials the new one's sampler learns from before its own. They take the
                first numbers and are none of its trials.
            journal: reads what the journal says of the study's trials, once the study is locked: Optuna's log is
                rebuilt from it where it lacks some or is damaged. None: the log is taken as it is.
            reopen: take back the ends of trials that the journal does not have; False: refuse.

        Raises:
            StudyError: the study there has another space, base, objective, seed or data (with the differences), another
                process works on it, it cannot learn from that study, or the journal lacks trials that ended.
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = acquire_lock(folder / LOCK_FILE, LOCK_WAIT_S)
        except Timeout:
            raise StudyError(
                f"study {definition.space.study} in {folder} is being worked on by another process; wait for it, stop "
                "it, or give this study another name (--study NAME)"
            ) from None
        try:
            definition, earlier = check_opening(folder, definition, warm_start)
            cut_torn_line(folder / LOG_FILE)
            fault = ""
            reopened: list[int] = []
            if journal is not None:
                journaled = journal()
                if journaled and not (folder / DEFINITION_FILE).is_file():
                    read_definition(folder)  # says that it is missing: another search could be mixed with this one
                found = inspect_log(folder, definition, journaled)
                if (lost := found.unjournaled(journaled)) and not reopen:
                    raise StudyError(_lost_results(folder, lost))
                if fault := found.fault:
                    rebuild_log(folder, definition, journaled, found)
                if lost:
                    ended = {number for number, one in journaled.items() if one.state is not None}
                    reopened = reopen_trials(folder / LOG_FILE, ended)
            store = cls(folder, definition, lock, earlier, reopened, fault)
            write_definition(folder, definition)  # last: a study that has one has learnt from what it names
            return store
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
        """The next `n` trials, one cohort; fewer when a grid is exhausted. They stay `running` until told, also over a
        restart."""
        self._study.sampler = self._grid or self._cohort_sampler()
        asked: list[Asked] = []
        with self._log.whole():
            while len(asked) < n and not self.exhausted:
                trial = self._study.ask(self._distributions)
                self._known.add(trial.params)
                asked.append(Asked(trial.number, dict(trial.params)))
        self._log.sync()
        return asked

    @property
    def grid_size(self) -> int | None:
        """How many configurations a grid has; None with another sampler, or if they are too many to count."""
        return None if self._grid is None else self._grid.size

    @property
    def exhausted(self) -> bool:
        """Whether a grid holds nothing that was not asked for; False with another sampler."""
        return self._grid is not None and self._grid.next_point() is None and not self._waiting()

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
            StudyError: there is no such trial, or a complete trial without a finite value for each objective.
        """
        trial = self._trial(number)
        if trial.state.is_finished():
            return False
        n = len(self.definition.space.objectives)
        if state == "complete" and (values is None or len(values) != n or not all(map(math.isfinite, values))):
            raise StudyError(
                f"trial {number} cannot be complete with values {values}; tell it as failed, with a reason"
            )
        if user_attrs:
            # Optuna offers this by the trial's object only, which is gone after a restart.
            self._study._storage.set_trial_user_attr(trial._trial_id, RECORD, dict(user_attrs))
        self._study.tell(number, values if state == "complete" else None, state=STATES[state])
        self._log.sync()
        return True

    def trials(self) -> list[TrialRow]:
        """All trials in the order of their numbers; those of a warm start are none of them."""
        return [row_of(trial) for trial in self._study.get_trials(deepcopy=False) if is_own(trial)]

    @property
    def n_earlier(self) -> int:
        """How many trials of another study the sampler learnt from before its own."""
        return sum(not is_own(trial) for trial in self._study.get_trials(deepcopy=False))

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
        storage = self._study._storage  # the study itself offers no one trial without all of them
        try:
            trial_id = storage.get_trial_id_from_study_id_trial_number(self._study._study_id, max(number, 0))
        except KeyError:
            trial_id = None
        if trial_id is None or number < 0:
            raise StudyError(f"study {self.definition.space.study} has no trial {number}; it has {self._n_trials}")
        return storage.get_trial(trial_id)

    def _cohort_sampler(self) -> DistinctSampler:
        first = min(self._waiting(), default=self._n_trials)
        seed = cohort_seed(self.definition.seed, first)
        sampler = build_sampler(self.definition.space.sampler, seed)
        return DistinctSampler(sampler, cohort_seed(seed, first), self._distributions, self._known)

    @property
    def _n_trials(self) -> int:
        """With those of a warm start, and those that wait."""
        return int(self._study._storage.get_n_trials(self._study._study_id))

    def _waiting(self) -> list[int]:
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return [trial.number for trial in trials]

    def _learn(self, earlier: Sequence[FrozenTrial]) -> None:
        there = {trial.user_attrs.get(SOURCE) for trial in self._study.get_trials(deepcopy=False)}
        self._study.add_trials([trial for trial in earlier if trial.user_attrs[SOURCE] not in there])

    def _enqueue_first_trials(self) -> None:
        queued = {trial.user_attrs.get(FIRST_TRIAL) for trial in self._study.get_trials(deepcopy=False)}
        for index, params in enumerate(self.definition.resolved.first_trials):
            if index not in queued:
                self._study.enqueue_trial(params, user_attrs={FIRST_TRIAL: index})

    def _fail_unrecorded(self) -> None:
        """A machine that died while a cohort was written may leave a trial without all its parameters; nobody can train
        that."""
        for row in self.trials():
            if row.state == "running" and row.params.keys() != self._distributions.keys():
                self.tell(
                    row.number,
                    state="failed",
                    user_attrs={"reason": "the process ended before the trial's parameters were recorded"},
                )


def _lost_results(folder: Path, numbers: Sequence[int]) -> str:
    many = f"{len(numbers)} trials, trial {numbers[0]} first," if len(numbers) > 1 else f"trial {numbers[0]}"
    return (
        f"{folder / JOURNAL_FILE}: lacks the results of {many} that {LOG_FILE} has as ended; bring it back with `rfe "
        f"studies pull {folder.name}` where MLflow or --storage has it, or have them trained again with `rfe studies "
        f"repair {folder.name}`"
    )
