"""Reads a study from its journal: its definition, its trials, how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rfe.errors import StudyError
from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyLog, TrialLog
from rfe.journal.records import read_events
from rfe.workspace import StudyFolder


@dataclass(frozen=True)
class StudyJournal:
    """The content of a study's journal, each trial as last recorded."""

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
            StudyError: not found.
        """
        if number not in self.trials:
            last = f"its trials go from 0 to {max(self.trials)}" if self.trials else "it has no trial yet"
            raise StudyError(f"study {self.study.study!r} has no finished trial {number}; {last}")
        return self.trials[number]


def read_journal(folder: StudyFolder) -> StudyJournal:
    """Read the study's journal."""
    study, trials, confirmations = StudyLog(folder.name), {}, {}
    outcome, ended = None, False
    changed = folder.journal.stat().st_mtime if folder.journal.is_file() else 0.0
    for event in read_events(folder):
        ended = ended and isinstance(event, StudyLog) and not event.starts
        if isinstance(event, StudyLog):
            study = event
        elif isinstance(event, TrialLog):
            trials[event.number] = event
        elif isinstance(event, ConfirmationLog):
            confirmations[event.number] = event
        elif isinstance(event, OutcomeLog):
            outcome, ended = event, True
    return StudyJournal(study, dict(sorted(trials.items())), confirmations, outcome, ended, changed)


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
