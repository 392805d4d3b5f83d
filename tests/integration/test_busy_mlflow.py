"""MLflow locked, too slow, or failing: the search goes on, and then all of it is shown once and in order.

The search is the real one but for Ray: its books, with a stand-in for training.
"""

import http.client
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from rfe.data.dataset import Dataset, load_dataset
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.workspace import Workspace
from tests.integration import fakes
from tests.integration.servers import PATIENCE_S, mlflow_server, wait_for
from tests.unit.search.tiny_study import ENDED, run_study

STATES = {
    **{f"trial {number:04}": "FINISHED" for number in range(ENDED)},
    "trial 0003": "FAILED",
    "study tiny": "KILLED",
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(fakes.write_data(tmp_path_factory.mktemp("busy") / "tiny"))


@pytest.fixture
def database(tmp_path: Path, empty_database: Path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "mlflow.db"))


def rows(database: Path) -> dict[str, list[Any]]:
    """All that MLflow keeps of runs, in the order in which it got it."""
    tables = {
        "runs": "name, status",
        "params": "run_uuid, key, value",
        "metrics": "run_uuid, key, step, value",
        "tags": "run_uuid, key, value",
    }
    with closing(sqlite3.connect(database)) as connection:
        return {
            table: connection.execute(f"SELECT {columns} FROM {table} ORDER BY rowid").fetchall()
            for table, columns in tables.items()
        }


def told(workspace: Workspace) -> list[int]:
    """Trials in the journal, in their order."""
    return [event.number for event in read_events(workspace.study("tiny")) if isinstance(event, TrialLog)]


def assert_shown(workspace: Workspace, database: Path) -> None:
    """Each run once, in the journal's order, in the state it ended in; telling it all again changes nothing."""
    shown = rows(database)
    assert [name for name, _ in shown["runs"]] == ["study tiny", *(f"trial {number:04}" for number in range(ENDED))]
    assert dict(shown["runs"]) == STATES
    again = MlflowTracker(workspace, workspace.study("tiny"))
    again.replay(read_events(workspace.study("tiny")))
    assert again.close(PATIENCE_S) == ""
    replayed = rows(database)
    assert replayed["runs"] == shown["runs"]
    assert replayed["params"] == shown["params"]
    trials = {run for run, key, _ in shown["tags"] if key == "rfe.trial"}
    for table in ("metrics", "tags"):
        assert [row for row in replayed[table] if row[0] in trials] == [row for row in shown[table] if row[0] in trials]


# MLflow itself waits 20 s for a lock before it raises
@pytest.mark.parametrize("longer_than_mlflow_waits", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_locked_database_holds_nothing_up_and_gets_everything_later(
    longer_than_mlflow_waits: bool, database: Path, dataset: Dataset, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path, f"sqlite:///{database}", tmp_path / "cache")
    notes: list[str] = []
    tracker = MlflowTracker(workspace, workspace.study("tiny"), notes.append)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        run_study(workspace, dataset, tracker)
        # the whole study is over, and MLflow has not heard of it
        assert told(workspace) == list(range(ENDED))
        assert other.execute("SELECT COUNT(*) FROM runs").fetchone() == (0,)
        if longer_than_mlflow_waits:
            wait_for(lambda: bool(notes))
            assert "locked" in notes[0]
            assert "results are saved locally, retrying" in notes[0]
        else:
            assert not tracker.flush(1.0)
        other.execute("ROLLBACK")
    assert tracker.close(PATIENCE_S) == ""
    assert [line.endswith("is available again") for line in notes] == [False, True] * longer_than_mlflow_waits
    assert_shown(workspace, database)


Fault = Literal["late", "500"]


@dataclass
class FaultyProxy:
    """Passes requests on; while it has its fault, every third change has an answer that says nothing of it.

    It comes after the client has given up, or is an error 500: of every second such change, which is not passed on.
    """

    port: int
    fault: Fault
    faulty: bool = True
    changes: list[str] = field(default_factory=list)
    faults: int = 0
    hurry: threading.Event = field(default_factory=threading.Event)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fails = False
                if self.command != "GET" and "/runs/search" not in self.path:
                    proxy.changes.append(self.path)
                    fails = proxy.faulty and len(proxy.changes) % 3 == 0
                    proxy.faults += fails
                if fails and proxy.fault == "500" and proxy.faults % 2:
                    self.send(500, "text/plain", b"out of order")
                    return
                status, kind, content = self.pass_on(body)
                if fails and proxy.fault == "500":
                    self.send(500, "text/plain", b"out of order")
                    return
                if fails:
                    proxy.hurry.wait(CLIENT_WAITS_S + 1)
                self.send(status, kind, content)

            def pass_on(self, body: bytes) -> tuple[int, str, bytes]:
                with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=PATIENCE_S)) as server:
                    headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
                    server.request(self.command, self.path, body, headers)
                    answer = server.getresponse()
                    return answer.status, answer.headers.get("Content-Type", "application/json"), answer.read()

            def send(self, status: int, kind: str, content: bytes) -> None:
                with suppress(OSError):  # the client has gone
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Nothing."""

        return Handler


CLIENT_WAITS_S = 2


@contextmanager
def faulty_mlflow(database: Path, folder: Path, fault: Fault) -> Iterator[tuple[str, FaultyProxy]]:
    """(address, the proxy there) of a tracking server."""
    with mlflow_server(f"sqlite:///{database}", folder / "artifacts", folder / "server.log") as port:
        proxy = FaultyProxy(port, fault)
        front = ThreadingHTTPServer(("127.0.0.1", 0), proxy.handler())
        try:
            threading.Thread(target=front.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{front.server_address[1]}", proxy
        finally:
            proxy.hurry.set()
            front.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("fault", get_args(Fault))
def test_a_server_that_fails_after_it_did_what_was_asked_is_told_everything_once(
    fault: Fault, database: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client did not hear what was done: repeating the request must not do it twice."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(CLIENT_WAITS_S))
    notes: list[str] = []
    with faulty_mlflow(database, tmp_path, fault) as (uri, proxy):
        workspace = Workspace(tmp_path / "workspace", uri, tmp_path / "cache")
        tracker = MlflowTracker(workspace, workspace.study("tiny"), notes.append)
        run_study(workspace, dataset, tracker)
        assert told(workspace) == list(range(ENDED))
        before = proxy.faults  # the study is over; most of the faults are yet to come
        wait_for(lambda: proxy.faults >= before + 4)
        proxy.faulty = False
        assert tracker.close(PATIENCE_S) == ""
        # single faults are repeated in silence; more than a few seconds of them are said
        assert all("saved locally, retrying" in line or line.endswith("is available again") for line in notes)
        assert_shown(workspace, database)
