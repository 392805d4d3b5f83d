"""What a study's storage holds, as rows; nothing here writes."""

import warnings
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState

from rfe.errors import StudyError
from rfe.search_space.dimensions import Value
from rfe.study.definition import StudyDefinition, read_definition
from rfe.study.log import RECORD, StudyLog, find_damage
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
    """Optuna's trials of the study in `folder`, those of a warm start too; none where none was asked for.

    Raises:
        StudyError: the log is damaged.
    """
    path = folder / LOG_FILE
    if not path.is_file():
        return []
    try:
        storage = open_storage(StudyLog(path))
        return [trial for study in storage.get_all_studies() for trial in storage.get_all_trials(study._study_id)]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        damage = find_damage(path)
        what = f"line {damage.line} is damaged" if damage else f"cannot be read ({type(error).__name__}: {error})"
        raise StudyError(f"{path}: {what}; `rfe studies repair {folder.name}` rebuilds it from the journal") from None


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


def open_study(log: StudyLog, definition: StudyDefinition) -> optuna.Study:
    """Optuna's study in this log, begun if it is not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.create_study(
            study_name=definition.space.study,
            storage=open_storage(log),
            directions=["maximize"] * len(definition.space.objectives),
            load_if_exists=True,
        )


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
