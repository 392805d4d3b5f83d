"""Shows a study in MLflow, behind the search and without holding it up."""

import time
from collections.abc import Callable, Iterable

from rfe.tracking.base import KEEP_TOP, ConfirmationLog, OutcomeLog, StudyEvent, StudyLog, TrialLog
from rfe.tracking.live import is_left_behind
from rfe.tracking.mlflow_server import MlflowServer, is_hopeless, is_missing_database, one_line, open_server
from rfe.tracking.outbox import Outbox
from rfe.tracking.records import read_events
from rfe.tracking.run_writer import TRIAL_STATUS, RunWriter
from rfe.workspace import StudyFolder, Workspace, redact_uri

REFRESH_S = 120.0
BEAT_S = 5.0


class MlflowTracker:
    """A `Tracker` that writes to MLflow on one background thread.

    Args:
        workspace: says where MLflow is.
        folder: of the study; `mlflow.json` with the runs' ids is written there.
        note: told in one line of an outage and its end, on the writer's thread.
        keep_top: how many of the best trials have weights, and at the end figures, in MLflow.
        refresh_s: how often the study's run, its files and the best trials' figures are brought up to date.
        beat_s: how often MLflow hears how the search goes, and is asked whether somebody wants it to stop.
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
        self._uri, self._folder = workspace.mlflow_uri, folder
        self._shown_uri = redact_uri(self._uri)
        self._server = MlflowServer(self._uri, workspace.artifacts)
        self._writer = RunWriter(self._server, folder, keep_top, self._shown_uri)
        self._started = False
        self._refresh_s, self._refreshed = refresh_s, time.monotonic()
        self._outbox = Outbox(
            is_hopeless,
            lambda line: note(f"MLflow at {self._shown_uri}: {line}"),
            lambda error: one_line(error, self._uri),
            self._tick,
            min(beat_s, refresh_s),
        )

    def start_study(self, log: StudyLog) -> None:
        self._started = True
        self._outbox.put("the study's run", lambda: self._open(log))

    def log_trial(self, log: TrialLog) -> None:
        self._outbox.put(f"trial {log.number}", lambda: self._writer.write_trial(log))

    def log_confirmation(self, log: ConfirmationLog) -> None:
        self._outbox.put(f"the confirmation of trial {log.number}", lambda: self._writer.write_confirmation(log))

    def finish_study(self, log: OutcomeLog) -> None:
        self._outbox.put("the study's outcome", lambda: self._writer.end(log))

    def replay(self, events: Iterable[StudyEvent]) -> None:
        """Each trial as last recorded, and the outcome if nothing came after it."""
        trials: dict[int, TrialLog] = {}
        confirmations: dict[int, ConfirmationLog] = {}
        outcome: OutcomeLog | None = None
        for event in events:
            if isinstance(event, TrialLog):
                trials[event.number] = event
            elif isinstance(event, ConfirmationLog):
                confirmations[event.number] = event
            elif isinstance(event, StudyLog) and not self._started:
                self.start_study(event)
            outcome = event if isinstance(event, OutcomeLog) else None
        for trial in trials.values():
            self.log_trial(trial)
        for confirmation in confirmations.values():
            self.log_confirmation(confirmation)
        if outcome is not None:
            self.finish_study(outcome)

    def _open(self, log: StudyLog) -> None:
        self._writer.open(log)
        end_stale_runs(self._server)

    def _tick(self) -> None:
        self._writer.beat()
        if time.monotonic() - self._refreshed >= self._refresh_s:
            self._writer.refresh()
            self._refreshed = time.monotonic()

    def flush(self, timeout_s: float = 60.0) -> bool:
        return self._outbox.flush(timeout_s)

    def close(self, timeout_s: float = 60.0) -> str:
        if self._started:
            self._started = False
            self._outbox.put("the end of the study's run", self._writer.end_if_open)
        left = self._outbox.close(timeout_s)
        if not left:
            return ""
        return (
            f"MLflow at {self._shown_uri} lacks {len(left)} entries, from {left[0]} on; they are safe in "
            f"{self._folder.journal} and are sent when the study is opened again"
        )

    def where(self) -> str:
        name = self._folder.name
        if self._uri.startswith("http"):
            return f"{self._shown_uri}, experiment {name}"
        return f"rfe ui, experiment {name} (kept in {self._shown_uri})"


def find_gaps(workspace: Workspace, folder: StudyFolder) -> list[str]:
    """What MLflow does not show of a study that no process works on, or not as the journal has it; one line each.

    Raises:
        StudyError: MLflow does not answer.
    """
    trials = {event.number: event for event in read_events(folder) if isinstance(event, TrialLog)}
    if is_missing_database(workspace.mlflow_uri):
        return ["no database"] if trials else []
    with open_server(workspace) as server:
        runs = list(server.search(server.find_experiment(folder.name), folder.name))
    shown = {int(run.tags["rfe.trial"]): run for run in runs if "rfe.trial" in run.tags}
    gaps = [f"trial {number}: no run" for number in sorted(trials.keys() - shown.keys())]
    for run in sorted(runs, key=lambda run: run.tags.get("rfe.trial", "")):
        log = trials.get(int(run.tags.get("rfe.trial", -1)))
        what = f"trial {run.tags['rfe.trial']}" if "rfe.trial" in run.tags else "the study's run"
        if run.status == "RUNNING":
            gaps.append(f"{what}: still running")
        elif log is not None and (run.status, run.tags.get("rfe.state")) != (TRIAL_STATUS[log.state], log.state):
            gaps.append(f"{what}: {run.tags.get('rfe.state', run.status)}, in the journal {log.state}")
    return gaps


def close_stale_runs(workspace: Workspace, study: str | None = None) -> list[str]:
    """End RUNNING runs whose process is gone, as KILLED with `rfe.state: interrupted`.

    Args:
        workspace: says where MLflow is.
        study: only this study's; None: all studies'.

    Returns:
        The names of the studies that had such runs.
    """
    if is_missing_database(workspace.mlflow_uri):
        return []  # nothing was ever logged, and looking would make the tables
    return end_stale_runs(MlflowServer(workspace.mlflow_uri, workspace.artifacts), study)


def end_stale_runs(server: MlflowServer, study: str | None = None) -> list[str]:
    """As `close_stale_runs`, on a server that is connected to."""
    running = [run for run in server.running() if study in (None, run.tags["rfe.study"])]
    alive = {run.run_id for run in running if "rfe.trial" not in run.tags and not is_left_behind(run.tags)}
    closed = set()
    for run in running:
        if run.run_id not in alive and run.tags.get("mlflow.parentRunId") not in alive:
            server.log(run.run_id, tags={"rfe.state": "interrupted"})
            server.set_status(run.run_id, "KILLED")
            closed.add(run.tags["rfe.study"])
    return sorted(closed)
