"""An MLflow tracking server or database, reduced to the requests that are needed. Only this module imports mlflow.

MLflow takes a second to import, which a search has better use for while Ray starts: it is imported where it is used.
"""

import logging
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

# before mlflow is imported: no usage reports, no chatter, and retries are the outbox's, which keep the order and look
# first whether a run was created although the answer was late: MLflow's own would create it twice
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from rfe.errors import ConfigError, StudyError
from rfe.extras import install_command
from rfe.secrets import redact_text, redact_uri
from rfe.tracking import presentation
from rfe.tracking.database import (
    database_problem,
    is_missing_database,
    newer_database,
    no_stray_folder,
    prepare_database,
)
from rfe.tracking.retrying_server import RetryingServer, repeat_for
from rfe.tracking.run_server import KnownRun, RunStatus
from rfe.workspace import Workspace, database_file

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

_REASON = re.compile(r"\[Errno -?\d+\] ([^'\")]+)")
REPEATED_S = 5.0
"""How long a command repeats a request before it says that MLflow does not show its result."""
HOPELESS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE")
_DRIVER_SAYS = re.compile(r"\((?:\w+\.)+\w*Error\) ([^\n]+)")
"""What a database's driver says of an error, among what SQLAlchemy says around it."""


def hush_mlflow() -> None:
    """Suppress warnings of MLflow's libraries, and tracebacks of errors that it also raises."""
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


class MlflowServer:
    """The tracking server or database at `uri`; connects at first use, which makes a database's tables (seconds).

    Args:
        uri: of MLflow; may carry credentials.
        artifacts: absolute folder for the files of runs, used where `uri` is a database.

    Raises:
        ConfigError: nothing installed speaks to the kind of database that `uri` names, or a newer MLflow wrote it.
    """

    def __init__(self, uri: str, artifacts: Path) -> None:
        _check_driver(uri)
        if problem := newer_database(uri):
            raise ConfigError(problem)
        self._uri, self._artifacts = uri, artifacts
        self._connected: MlflowClient | None = None
        self._places: dict[str, str] = {}
        """Run -> where its files are."""

    @property
    def _client(self) -> "MlflowClient":
        if self._connected is None:
            prepare_database(self._uri, self._artifacts.parent)
            from mlflow import MlflowClient

            hush_mlflow()
            with no_stray_folder(self._uri):
                client = MlflowClient(self._uri)
                if database_file(self._uri) is not None:
                    client.search_experiments(max_results=1)  # opens the file
            self._connected = client
        return self._connected

    def look_up(self, name: str) -> tuple[str, bool] | None:
        """(id of the experiment, whether it is deleted); None if not found. Changes nothing."""
        found = self._client.get_experiment_by_name(name)
        return None if found is None else (str(found.experiment_id), found.lifecycle_stage == "deleted")

    def find_experiment(self, name: str) -> str:
        """Id of the experiment, created or restored if need be."""
        found = self.look_up(name)
        if found is None:
            is_database = "://" in self._uri and not self._uri.startswith(("http", "databricks", "uc"))
            place = (self._artifacts / name).as_uri() if is_database else None
            # without this tag the page opens on traces of language models
            return str(
                self._client.create_experiment(name, place, {"mlflow.experimentKind": "custom_model_development"})
            )
        experiment_id, is_deleted = found
        if is_deleted:
            self._client.restore_experiment(experiment_id)
        return experiment_id

    def tag_experiment(self, experiment_id: str, name: str, value: str) -> None:
        self._client.set_experiment_tag(experiment_id, name, value)

    def search(self, experiment_id: str, study: str, trial: str | None = None) -> Iterator[KnownRun]:
        """The runs that are tagged with the study; with `trial`, only that trial's."""
        condition = f"tags.`rfe.study` = '{study}'"
        yield from self._search([experiment_id], condition + (f" and tags.`rfe.trial` = '{trial}'" if trial else ""))

    def running(self) -> Iterator[KnownRun]:
        """The RUNNING runs of all studies and ensembles; an ensemble's of an earlier version names no study."""
        experiments = [entry.experiment_id for entry in self._client.search_experiments()]
        found = set()
        for tag in ("rfe.study", "rfe.ensemble") if experiments else ():
            for run in self._search(experiments, f"attributes.status = 'RUNNING' and tags.`{tag}` LIKE '%'"):
                if run.run_id not in found:
                    found.add(run.run_id)
                    yield run

    def has_deleted_run(self, experiment_id: str, study: str) -> bool:
        """Whether the study's own run was deleted; MLflow keeps such runs for a while."""
        condition = f"tags.`rfe.study` = '{study}' and tags.`rfe.session` LIKE '%'"
        return any(True for _ in self._search([experiment_id], condition, deleted=True))

    def _search(self, experiments: list[str], condition: str, *, deleted: bool = False) -> Iterator[KnownRun]:
        from mlflow.entities import ViewType

        kind = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
        token = None
        while True:
            page = self._client.search_runs(experiments, condition, kind, max_results=1000, page_token=token)
            for run in page:
                info, data = run.info, run.data
                self._places[info.run_id] = info.artifact_uri
                yield KnownRun(
                    info.run_id,
                    info.status,
                    dict(data.tags),
                    frozenset(data.params),
                    info.start_time,
                    dict(data.metrics),
                )
            token = page.token
            if not token:
                return

    def create(self, experiment_id: str, name: str, tags: Mapping[str, str], start_s: float) -> str:
        run = self._client.create_run(experiment_id, int(1000 * start_s), dict(tags), name)
        self._places[run.info.run_id] = run.info.artifact_uri
        return str(run.info.run_id)

    def log(
        self,
        run_id: str,
        metrics: Sequence[presentation.Metric] = (),
        settings: Sequence[tuple[str, str]] = (),
        tags: Mapping[str, str] | None = None,
        at_s: float | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

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
        files = self._files(run_id)
        for path in paths:
            if path.exists():
                files.log_artifact(str(path), folder or None)

    def delete(self, run_id: str, artifact: str) -> None:
        self._files(run_id).delete_artifacts(artifact)

    def _files(self, run_id: str) -> "ArtifactRepository":
        """Where a run's files are kept; the client itself asks the server for it."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if run_id not in self._places:
            self._places[run_id] = self._client.get_run(run_id).info.artifact_uri
        return get_artifact_repository(self._places[run_id], tracking_uri=self._uri)

    def set_status(self, run_id: str, status: RunStatus, at_s: float | None = None) -> None:
        if status == "RUNNING":
            self._client.update_run(run_id, status)
        else:
            self._client.set_terminated(run_id, status, int(1000 * (time.time() if at_s is None else at_s)))

    def tags(self, run_id: str) -> dict[str, str]:
        return dict(self._client.get_run(run_id).data.tags)

    def study_runs(self) -> Iterator[KnownRun]:
        """The studies' own runs, of all studies; trials' runs have no session."""
        experiments = [entry.experiment_id for entry in self._client.search_experiments()]
        if experiments:
            yield from self._search(experiments, "tags.`rfe.session` LIKE '%'")

    def files(self, run_id: str, folder: str = "") -> set[str]:
        """Paths of the files that a run has in a folder."""
        return {one.path for one in self._client.list_artifacts(run_id, folder or None) if not one.is_dir}

    def download(self, run_id: str, file: str, to: Path) -> None:
        """Copy one file of a run to the path `to`."""
        to.parent.mkdir(parents=True, exist_ok=True)
        # where in a folder MLflow puts a file depends on where it keeps it
        with tempfile.TemporaryDirectory(dir=to.parent) as scratch:
            Path(self._client.download_artifacts(run_id, file, scratch)).replace(to)

    def delete_experiment(self, name: str) -> bool:
        """Mark the experiment deleted, which MLflow can undo; False if not found.

        It is renamed first: a later study of that name would otherwise find the runs of this one.
        """
        found = self.look_up(name)
        if found is None or found[1]:
            return False
        self._client.rename_experiment(found[0], f"{name}, deleted {datetime.now():%Y-%m-%d %H:%M:%S}")
        self._client.delete_experiment(found[0])
        return True


@contextmanager
def open_server(workspace: Workspace) -> Iterator[MlflowServer]:
    """The server that `workspace` names, for a command that needs its answer now.

    Raises:
        StudyError: there is nothing at its address, or it answers with an error.
    """
    uri, shown = workspace.mlflow_uri, redact_uri(workspace.mlflow_uri)
    if is_missing_database(uri):
        raise StudyError(f"--tracking-uri {shown}: there is no such database; give the address that the search logs to")
    if problem := database_problem(workspace):
        raise StudyError(problem)
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield MlflowServer(uri, workspace.artifacts)
    except (MlflowException, SQLAlchemyError) as error:
        raise StudyError(
            f"--tracking-uri {shown}: MLflow does not answer as it should ({one_line(error, uri)}); is it running, and "
            "may you read there?"
        ) from error


def retrying_server(workspace: Workspace) -> RetryingServer:
    """The server that `workspace` names, for a command that has little to write: each failed request is repeated.

    Raises:
        ConfigError: as `MlflowServer`.
    """
    return RetryingServer(MlflowServer(workspace.mlflow_uri, workspace.artifacts), repeat_for(REPEATED_S, is_hopeless))


def _check_driver(uri: str) -> None:
    """A server is asked over HTTP; a database needs its driver here."""
    if not uri.startswith(("postgresql", "mysql", "mssql")):
        return
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    shown = redact_uri(uri)
    try:
        make_url(uri).get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError(
            f"the tracking address {shown} cannot be read ({error}); write it like postgresql+psycopg://user@host/database"
        ) from None
    except ModuleNotFoundError as error:
        remedy = (
            f"{install_command('postgres')}, and write postgresql+psycopg://" if uri.startswith("postgresql") else ""
        )
        raise ConfigError(
            f"the tracking address {shown}: its driver {error.name} is not installed here; "
            f"{remedy or f'pip install {error.name}'}"
        ) from None


def is_hopeless(error: Exception) -> bool:
    """Whether retrying cannot help: the server refuses the entry, or this is an internal error."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.error_code in HOPELESS
    if isinstance(error, OSError):  # also what requests raises of an answer that is no JSON, which is a ValueError too
        return False
    return isinstance(error, StudyError | TypeError | ValueError | KeyError | AttributeError)


def one_line(error: Exception, uri: str) -> str:
    """The error's first line, without the credentials that addresses in it may carry."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    if said := _DRIVER_SAYS.search(str(error)):
        text = said[1]
    if "Max retries exceeded" in text and (reason := _REASON.search(text)):
        text = f"no connection: {reason[1]}"  # instead of what three libraries have wrapped around it
    return redact_text(text, uri)[:300]
