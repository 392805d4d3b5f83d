"""Writes a study to MLflow in the background, without delaying the search."""

import time
from collections.abc import Callable, Iterable

from rfe.journal.events import KEEP_TOP, ConfirmationLog, OutcomeLog, StudyEvent, StudyLog, TrialLog
from rfe.secrets import redact_uri
from rfe.tracking.database import prepare_database
from rfe.tracking.gaps import close_stale_runs, end_stale_runs, final_outcome, find_gaps
from rfe.tracking.mlflow_server import MlflowServer, is_hopeless, one_line
from rfe.tracking.outbox import Outbox
from rfe.tracking.retrying_server import RetryingServer
from rfe.tracking.run_writer import RunWriter
from rfe.workspace import StudyFolder, Workspace

__all__ = ["MlflowTracker", "close_stale_runs", "find_gaps"]

REFRESH_S = 120.0
BEAT_S = 5.0
FILES, LAST_END = "files of the best trials", "the end of the study's run"
"""Actions that are no results."""


class MlflowTracker:
    """A `Tracker` that writes to MLflow on one background thread.

    Args:
        workspace: says where MLflow is.
        folder: of the study; `mlflow.json` with the runs' ids is written there.
        note: told in one line of an outage and its end, on the writer's thread.
        keep_top: how many of the best trials have weights, and at the end figures, in MLflow.
        refresh_s: how often the study's run, its files and the best trials' figures are brought up to date.
        beat_s: how often MLflow hears how the search goes, and is asked whether a user wants it to stop.
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: StudyFolder,
        note: Callable[[str], None] = lambda line: None,
        keep_top: int = KEEP_TOP,
        refresh_s: float = REFRESH_S,
        beat_s: float = BEAT_S,
    ) -> None:
        self._workspace, self._uri, self._folder = workspace, workspace.mlflow_uri, folder
        self._shown_uri = redact_uri(self._uri)
        self._said = note
        self._server = MlflowServer(self._uri, workspace.artifacts)
        self._started = False
        self._refresh_s, self._refreshed = refresh_s, time.monotonic()
        self._outbox = Outbox(
            is_hopeless,
            self._note,
            lambda error: one_line(error, self._uri),
            self._tick,
            min(beat_s, refresh_s),
        )
        server = RetryingServer(self._server, self._outbox.request)
        self._writer = RunWriter(server, folder, keep_top, self._shown_uri)

    def start_study(self, log: StudyLog) -> None:
        self._started = True
        self._outbox.put("the study's run", lambda: self._open(log))

    def change_study(self, log: StudyLog) -> None:
        self._outbox.put("what was changed of the study", lambda: self._writer.change(log))

    def log_trial(self, log: TrialLog) -> None:
        self._writer.tell(log)
        self._outbox.put(f"trial {log.number}", lambda: self._writer.write_trial(log))

    def log_confirmation(self, log: ConfirmationLog) -> None:
        self._writer.tell(log)
        self._outbox.put(f"the confirmation of trial {log.number}", lambda: self._writer.write_confirmation(log))

    def finish_study(self, log: OutcomeLog) -> None:
        """The run's status and outcome come before trials that wait, and long before figures: time may run out."""
        self._writer.tell(log)
        self._outbox.put("the study's outcome", lambda: self._writer.end(log), first=True)

    def replay(self, events: Iterable[StudyEvent]) -> None:
        """Each trial as last recorded, and the outcome if nothing came after it."""
        events = list(events)
        trials = {event.number: event for event in events if isinstance(event, TrialLog)}
        confirmations = {event.number: event for event in events if isinstance(event, ConfirmationLog)}
        studies = [event for event in events if isinstance(event, StudyLog)]
        if studies and not self._started:
            self.start_study(studies[-1])
        for trial in trials.values():
            self.log_trial(trial)
        for confirmation in confirmations.values():
            self.log_confirmation(confirmation)
        if (outcome := final_outcome(events)) is not None:
            self.finish_study(outcome)

    def _open(self, log: StudyLog) -> None:
        if said := self._outbox.request(lambda: prepare_database(self._uri, self._workspace.root)):
            self._note(said)
        self._writer.open(log)
        self._outbox.request(lambda: end_stale_runs(self._server, self._workspace))

    def _tick(self) -> None:
        self._writer.beat()
        if time.monotonic() - self._refreshed >= self._refresh_s:
            self._writer.refresh(files=not self._outbox.waiting)
            self._refreshed = time.monotonic()

    def _note(self, line: str) -> None:
        self._said(f"MLflow at {self._shown_uri}: {line}")

    def _end(self) -> None:
        self._writer.end_if_open()
        self._writer.save_runs()

    def flush(self, timeout_s: float = 60.0) -> bool:
        return self._outbox.flush(timeout_s)

    def close(self, timeout_s: float = 60.0) -> str:
        if self._started:
            self._started = False
            self._outbox.put(LAST_END, self._end)
            self._outbox.put(FILES, self._writer.refresh)
        left = self._outbox.close(timeout_s)
        return " ".join(filter(None, (self._say_left(left), self._say_refused())))

    def _say_left(self, left: list[str]) -> str:
        results = [what for what in left if what not in (FILES, LAST_END)]
        again = f"when the study is next opened, or by `rfe studies repair {self._folder.name}`"
        if results:
            are = f"{len(results)} results are" if len(results) > 1 else "1 result is"
            return f"{are} saved locally and will reach MLflow at {self._shown_uri} {again}"
        if left:
            return (
                f"figures and weights of the best trials are saved locally; MLflow at {self._shown_uri} lacks some, "
                f"which come {again}"
            )
        return ""

    def _say_refused(self) -> str:
        refused = {what: why for what, why in self._outbox.refused.items() if what not in (FILES, LAST_END)}
        if not refused:
            return ""
        what, why = next(iter(refused.items()))
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        return f"MLflow at {self._shown_uri} refused {what}{more} ({why}); all are saved locally"

    def where(self) -> str:
        name = self._folder.name
        if self._uri.startswith("http"):
            return f"{self._shown_uri}, experiment {name}"
        return f"rfe ui, experiment {name} (kept in {self._shown_uri})"
