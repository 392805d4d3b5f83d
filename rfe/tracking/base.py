"""The interface of trackers, which show a study to people."""

from collections.abc import Iterable
from typing import Protocol

from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyEvent, StudyLog, TrialLog


class Tracker(Protocol):
    """Shows a study to people. The journal is authoritative: a tracker may lag, be unavailable, or be replayed from it.

    Methods return at once; nothing they do stops a search. Logging the same trial twice shows it once.
    """

    def start_study(self, log: StudyLog) -> None:
        """Open (or reopen) the study."""

    def change_study(self, log: StudyLog) -> None:
        """Show what users changed of the study since it started."""

    def log_trial(self, log: TrialLog) -> None: ...

    def log_confirmation(self, log: ConfirmationLog) -> None: ...

    def finish_study(self, log: OutcomeLog) -> None: ...

    def replay(self, events: Iterable[StudyEvent]) -> None:
        """Write journal entries that the tracker may have missed; call after `start_study`."""

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Wait until everything so far is written; False on timeout."""

    def close(self, timeout_s: float = 60.0) -> str:
        """Finish queued work and end open runs; returns a sentence on what is not written yet, or ""."""

    def where(self) -> str:
        """A sentence on where the user can see the results; "" if nowhere."""


class NullTracker:
    """Shows nothing: the journal alone keeps the study."""

    def start_study(self, log: StudyLog) -> None:
        pass

    def change_study(self, log: StudyLog) -> None:
        pass

    def log_trial(self, log: TrialLog) -> None:
        pass

    def log_confirmation(self, log: ConfirmationLog) -> None:
        pass

    def finish_study(self, log: OutcomeLog) -> None:
        pass

    def replay(self, events: Iterable[StudyEvent]) -> None:
        pass

    def flush(self, timeout_s: float = 60.0) -> bool:
        return True

    def close(self, timeout_s: float = 60.0) -> str:
        return ""

    def where(self) -> str:
        return ""
