"""How a tracker writes a study to a server that fails, is slow, or refuses; the server is a stand-in."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rfe.journal.events import OutcomeLog
from rfe.journal.journal import Journal
from rfe.journal.records import read_events
from rfe.tracking import mlflow_tracker, outbox
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.workspace import Workspace, open_workspace
from tests.unit.tracking.logs import confirmation_log, failed_log, study_log, trial_log
from tests.unit.tracking.test_run_writer import MemoryServer

OUTCOME = OutcomeLog("s", "finished", "Best.", {"score_best": 0.4})


class Server(MemoryServer):
    """Told what to do before each request; `order` says what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []
        self.failing = 0.0
        self.random = random.Random(3)
        self.hold: threading.Event | None = None
        self.held = threading.Event()

    def running(self) -> Iterator[Any]:
        return iter(())

    def _call(self, late: bool) -> None:
        super()._call(late)
        # before it did what it was asked, or after: its answer is lost
        if self.random.random() < self.failing / 2:
            raise ConnectionError("502 bad gateway")

    def set_status(self, run_id: str, status: str, at_s: float | None = None) -> None:
        super().set_status(run_id, status, at_s)
        self.order.append(f"{self.runs[run_id]['name']}: {status}")

    def create(self, *what: Any) -> str:
        if self.hold is not None and "rfe.trial" in what[2]:
            self.held.set()
            assert self.hold.wait(30)
        return super().create(*what)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    one = Server()
    monkeypatch.setattr(mlflow_tracker, "MlflowServer", lambda uri, artifacts: one)
    monkeypatch.setattr(mlflow_tracker, "prepare_database", lambda uri, own: "")
    monkeypatch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])
    monkeypatch.setattr(outbox, "FIRST_WAIT_S", 0.001)
    return one


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return open_workspace(tmp_path)


def tell(workspace: Workspace, tracker: MlflowTracker, n: int) -> None:
    with Journal(workspace.study("s")) as journal:
        tracker.start_study(journal.record_study(study_log()))
        for number in range(n):
            log = failed_log(number) if number % 5 == 4 else trial_log(number, 0.2 + number / 1000)
            tracker.log_trial(journal.record_trial(log))
        tracker.log_confirmation(journal.record_confirmation(confirmation_log(0)))
        tracker.finish_study(journal.record_outcome(OUTCOME))


def test_a_third_of_failing_requests_costs_about_as_many_more(server: Server, workspace: Workspace) -> None:
    """Before, nothing was shown: each failure began a trial's requests again, after twice the pause."""
    healthy = Server()
    notes: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_tracker, "MlflowServer", lambda uri, artifacts: healthy)
        tracker = MlflowTracker(workspace, workspace.study("s"), notes.append)
        tell(workspace, tracker, 40)
        assert tracker.close(60) == ""
    server.failing = 0.3
    tracker = MlflowTracker(workspace, workspace.study("s"), notes.append)
    tracker.replay(read_events(workspace.study("s")))
    assert tracker.close(60) == ""
    assert server.calls < 2 * healthy.calls
    told, expected = server.story(), healthy.story()
    assert told.keys() == expected.keys()
    for name, run in told.items():
        assert {**run, "tags": {}} == {**expected[name], "tags": {}}, name
        assert run["tags"].items() >= {k: v for k, v in expected[name]["tags"].items() if k[:7] == "rfe.tri"}.items()
    assert notes == []


def test_the_outcome_comes_before_trials_that_wait_and_before_figures(
    server: Server, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, it came last: where time ran out the study stood RUNNING, and later as interrupted."""
    drawn: list[list[str]] = []
    monkeypatch.setattr(
        "rfe.tracking.figures.trial_figures", lambda log: drawn.append(list(server.order)) or [("gate.png", b"")]
    )
    server.hold = threading.Event()
    tracker = MlflowTracker(workspace, workspace.study("s"))
    with Journal(workspace.study("s")) as journal:
        tracker.start_study(journal.record_study(study_log()))
        for number in range(8):
            tracker.log_trial(journal.record_trial(trial_log(number, 0.2)))
        assert server.held.wait(30)
        tracker.finish_study(journal.record_outcome(OUTCOME))
    server.hold.set()
    assert tracker.close(60) == ""
    assert server.order[:3] == ["trial 0000: FINISHED", "study s: FINISHED", "trial 0001: FINISHED"]
    assert len(server.order) == 9
    assert len(drawn) == 8
    assert all(len(order) == 9 for order in drawn)
    story = server.story()["study s"]
    assert story["metrics"]["trials_complete"] == 8  # those that waited are counted
    assert story["tags"]["rfe.state"] == "finished"


def test_what_there_was_no_time_for_is_counted_and_comes_later(server: Server, workspace: Workspace) -> None:
    server.hold = threading.Event()
    tracker = MlflowTracker(workspace, workspace.study("s"))
    tell(workspace, tracker, 5)
    assert server.held.wait(30)
    outbox_grace = threading.Timer(1.0, server.hold.set)
    outbox_grace.start()
    said = tracker.close(0.05)
    outbox_grace.join()
    assert "7 results are saved locally and will reach MLflow" in said  # five trials, a confirmation, the outcome
    assert "rfe studies repair s" in said
    assert "lacks" not in said
    server.hold = None
    tracker = MlflowTracker(workspace, workspace.study("s"))
    tracker.replay(read_events(workspace.study("s")))
    assert tracker.close(60) == ""
    assert {run["status"] for run in server.story().values()} == {"FINISHED", "FAILED"}


def test_one_refused_entry_is_said_and_the_others_are_shown(
    server: Server, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = server.log

    def refuse(run_id: str, *what: Any, **more: Any) -> None:
        if server.runs[run_id]["name"] == "trial 0001":
            raise ValueError("illegal name")
        log(run_id, *what, **more)

    monkeypatch.setattr(server, "log", refuse)
    notes: list[str] = []
    tracker = MlflowTracker(workspace, workspace.study("s"), notes.append)
    tell(workspace, tracker, 4)
    said = tracker.close(60)
    assert "refused trial 1 (illegal name)" in said
    assert "saved locally" in said
    assert len([line for line in notes if "trial 1 cannot be shown: illegal name" in line]) == 1
    assert {name: run["status"] for name, run in server.story().items() if name != "trial 0001"} == {
        **{"study s": "FINISHED", "trial 0000": "FINISHED", "trial 0002": "FINISHED", "trial 0003": "FINISHED"},
    }
