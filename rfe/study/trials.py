"""What a study's storage holds, as rows; nothing here writes."""

from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from rfe.search_space.dimensions import Value
from rfe.study.definition import StudyDefinition, read_definition
from rfe.study.log import RECORD, StudyLog
from rfe.study.warm_start import is_own

LOG_FILE = "optuna.log"

State = Literal["complete", "pruned", "failed"]
STATES: dict[str, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
_NAMES: dict[TrialState, str] = {
    **{state: name for name, state in STATES.items()},
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
    """The objective's, of a complete trial; of a pruned one the last value that was reported, if there is one
    objective."""
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


def read_study(folder: Path) -> StudyView:
    """The study in `folder` as it stands, also while another process works on it.

    Raises:
        StudyError: there is no study.
    """
    definition = read_definition(folder)
    return StudyView(folder, definition, tuple(row_of(trial) for trial in read_trials(folder) if is_own(trial)))


def read_trials(folder: Path) -> list[FrozenTrial]:
    """Optuna's trials of the study in `folder`, those of a warm start too; none where none was asked for."""
    if not (folder / LOG_FILE).is_file():
        return []
    storage = open_storage(StudyLog(folder / LOG_FILE))
    return [trial for study in storage.get_all_studies() for trial in storage.get_all_trials(study._study_id)]


class StudyStorage(JournalStorage):  # type: ignore[misc]
    """Optuna's storage in our file, with its look through all trials at every ask spared: a trial that has left the
    queue never waits again, so only those behind are looked at."""

    def __init__(self, log: StudyLog) -> None:
        super().__init__(log)
        self._left: dict[int, int] = {}
        """Study -> so many trials, its first ones, have left the queue."""

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if not deepcopy and states == (TrialState.WAITING,):
            return self._look(study_id)[0]
        trials: list[FrozenTrial] = super().get_all_trials(study_id, deepcopy, states)
        return trials

    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        return self._look(study_id)[1] if state is None else int(super().get_n_trials(study_id, state))

    def _look(self, study_id: int) -> tuple[list[FrozenTrial], int]:
        """The trials that wait, and how many there are in all."""
        waiting: list[FrozenTrial] = []
        number = self._left.get(study_id, 0)
        with suppress(KeyError):  # there are no more
            while True:
                trial = self.get_trial(self.get_trial_id_from_study_id_trial_number(study_id, number))
                number += 1
                if trial.state == TrialState.WAITING:
                    waiting.append(trial)
                elif not waiting:
                    self._left[study_id] = number
        return waiting, number


def open_storage(log: StudyLog) -> StudyStorage:
    """Optuna's storage in this file."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return StudyStorage(log)


def row_of(trial: FrozenTrial) -> TrialRow:
    """The trial as others see it."""
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
