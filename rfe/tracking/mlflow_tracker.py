"""Shows a study in MLflow, behind the search and without holding it up. The only home of mlflow."""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

# before mlflow is imported: no usage reports, no chatter, and retries are the outbox's, which keep the order
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from rfe.errors import StudyError
from rfe.tracking import presentation
from rfe.tracking.base import KEEP_TOP, ConfirmationLog, OutcomeLog, StudyEvent, StudyLog, TrialLog
from rfe.tracking.outbox import Outbox
from rfe.tracking.run_writer import KnownRun, RunStatus, RunWriter, is_left_behind
from rfe.workspace import StudyFolder, Workspace, redact_uri

REFRESH_S = 120.0
HOPELESS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
NOISY = ("mlflow", "alembic", "urllib3.connectionpool")


class MlflowServer:
    """The tracking server or database at `uri`; connects at first use, which makes a database's tables (seconds).

    Args:
        uri: of MLflow; may carry credentials.
        artifacts: absolute folder for the files of runs, used where `uri` is a database.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        self._uri, self._artifacts = uri, artifacts
        self._connected: MlflowClient | None = None

    @property
    def _client(self) -> MlflowClient:
        if self._connected is None:
            for name in NOISY:
                logging.getLogger(name).setLevel(logging.ERROR)
            if self._uri.startswith("sqlite:///"):
                Path(self._uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            self._connected = MlflowClient(self._uri)
        return self._connected

    def find_experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            is_database = "://" in self._uri and not self._uri.startswith(("http", "databricks", "uc"))
            place = (self._artifacts / name).as_uri() if is_database else None
            # without this tag the page opens on traces of language models
            return str(
                self._client.create_experiment(name, place, {"mlflow.experimentKind": "custom_model_development"})
            )
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def tag_experiment(self, experiment_id: str, name: str, value: str) -> None:
        self._client.set_experiment_tag(experiment_id, name, value)

    def search(self, experiment_id: str, study: str) -> Iterator[KnownRun]:
        yield from self._search([experiment_id], f"tags.`rfe.study` = '{study}'")

    def running(self) -> Iterator[KnownRun]:
        """The RUNNING runs of all studies."""
        experiments = [entry.experiment_id for entry in self._client.search_experiments()]
        if experiments:
            yield from self._search(experiments, "attributes.status = 'RUNNING' and tags.`rfe.study` LIKE '%'")

    def _search(self, experiments: list[str], condition: str) -> Iterator[KnownRun]:
        token = None
        while True:
            page = self._client.search_runs(experiments, condition, max_results=1000, page_token=token)
            for run in page:
                info, data = run.info, run.data
                yield KnownRun(info.run_id, info.status, dict(data.tags), frozenset(data.params), info.start_time)
            token = page.token
            if not token:
                return

    def create(self, experiment_id: str, name: str, tags: Mapping[str, str], start_s: float) -> str:
        run = self._client.create_run(experiment_id, int(1000 * start_s), dict(tags), name)
        return str(run.info.run_id)

    def log(
        self,
        run_id: str,
        metrics: Sequence[presentation.Metric] = (),
        settings: Sequence[tuple[str, str]] = (),
        tags: Mapping[str, str] | None = None,
        at_s: float | None = None,
    ) -> None:
        at_ms = int(1000 * (time.time() if at_s is None else at_s))
        self._client.log_batch(
            run_id,
            # a later entry is a later moment, so that a table shows the one logged last
            [Metric(name, value, at_ms + i, step) for i, (name, value, step) in enumerate(metrics)],
            [Param(name, value) for name, value in settings],
            [RunTag(name, value) for name, value in (tags or {}).items()],
            synchronous=True,
        )

    def upload(self, run_id: str, paths: Iterable[Path], folder: str = "") -> None:
        for path in paths:
            if path.exists():
                self._client.log_artifact(run_id, str(path), folder or None)

    def delete(self, run_id: str, artifact: str) -> None:
        place = self._client.get_run(run_id).info.artifact_uri
        get_artifact_repository(place, tracking_uri=self._uri).delete_artifacts(artifact)

    def set_status(self, run_id: str, status: RunStatus, at_s: float | None = None) -> None:
        if status == "RUNNING":
            self._client.update_run(run_id, status)
        else:
            self._client.set_terminated(run_id, status, int(1000 * (time.time() if at_s is None else at_s)))


class MlflowTracker:
    """A `Tracker` that writes to MLflow on one background thread.

    Args:
        workspace: says where MLflow is.
        folder: of the study; `mlflow.json` with the runs' ids is written there.
        note: told in one line of an outage and its end, on the writer's thread.
        keep_top: how many of the best trials have figures and weights in MLflow.
        refresh_s: how often the study's run, its files and the best trials' figures are brought up to date.
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: StudyFolder,
        note: Callable[[str], None] = lambda line: None,
        keep_top: int = KEEP_TOP,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._uri, self._folder = workspace.mlflow_uri, folder
        self._shown_uri = redact_uri(self._uri)
        self._writer = RunWriter(MlflowServer(self._uri, workspace.artifacts), folder, keep_top, self._shown_uri)
        self._started = False
        self._outbox = Outbox(
            is_hopeless,
            lambda line: note(f"MLflow at {self._shown_uri}: {line}"),
            lambda error: one_line(error, self._uri),
            self._writer.refresh,
            refresh_s,
        )

    def start_study(self, log: StudyLog) -> None:
        self._started = True
        self._outbox.put("the study's run", lambda: self._writer.open(log))

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


def close_stale_runs(workspace: Workspace, study: str | None = None) -> list[str]:
    """End RUNNING runs whose process is gone, as KILLED with `rfe.state: interrupted`.

    Args:
        workspace: says where MLflow is.
        study: only this study's; None: all studies'.

    Returns:
        The names of the studies that had such runs.
    """
    database = Path(workspace.mlflow_uri.removeprefix("sqlite:///"))
    if workspace.mlflow_uri.startswith("sqlite:///") and not database.exists():
        return []  # nothing was ever logged, and looking would make the tables
    server = MlflowServer(workspace.mlflow_uri, workspace.artifacts)
    running = [run for run in server.running() if study in (None, run.tags["rfe.study"])]
    alive = {run.run_id for run in running if "rfe.trial" not in run.tags and not is_left_behind(run.tags)}
    closed = set()
    for run in running:
        if run.run_id not in alive and run.tags.get("mlflow.parentRunId") not in alive:
            server.log(run.run_id, tags={"rfe.state": "interrupted"})
            server.set_status(run.run_id, "KILLED")
            closed.add(run.tags["rfe.study"])
    return sorted(closed)


def is_hopeless(error: Exception) -> bool:
    """Whether trying again cannot help: the entry itself is refused, or we are wrong."""
    if isinstance(error, MlflowException):
        return error.error_code in HOPELESS
    return isinstance(error, StudyError | TypeError | ValueError | KeyError | AttributeError)


def one_line(error: Exception, uri: str) -> str:
    """The error's first line, without the credentials that addresses in it may carry."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"://[^/\s]*@", "://***@", text.replace(uri, redact_uri(uri)))[:300]
