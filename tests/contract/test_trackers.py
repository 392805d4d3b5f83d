"""One suite over every tracker, and what MLflow must show after it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE

from rfe.journal.events import OutcomeLog
from rfe.journal.journal import Journal
from rfe.journal.records import read_events
from rfe.tracking.base import NullTracker, Tracker
from rfe.tracking.mlflow_server import is_hopeless, one_line
from rfe.tracking.mlflow_tracker import MlflowTracker, close_stale_runs
from rfe.workspace import Workspace
from tests.unit.tracking.logs import confirmation_log, failed_log, study_log, trial_log

OUTCOME = OutcomeLog("s", "finished", "Best: trial 2.", {"score_best": 0.4, "score_selected": 0.3})


@pytest.fixture
def workspace(tmp_path: Path, empty_database: Path) -> Workspace:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return Workspace(tmp_path, f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "cache")


@dataclass
class Desk:
    """A study whose journal is open, and how a tracker for it is made."""

    workspace: Workspace
    journal: Journal
    kind: str

    def tracker(self, **options: float) -> Tracker:
        if self.kind == "none":
            return NullTracker()
        return MlflowTracker(self.workspace, self.workspace.study("s"), **options)  # type: ignore[arg-type]


@pytest.fixture(params=["none", "mlflow"])
def desk(request: pytest.FixtureRequest, workspace: Workspace) -> Iterator[Desk]:
    with Journal(workspace.study("s")) as journal:
        yield Desk(workspace, journal, request.param)


@pytest.fixture
def mlflow_desk(workspace: Workspace) -> Iterator[Desk]:
    with Journal(workspace.study("s")) as journal:
        yield Desk(workspace, journal, "mlflow")


def tell_all(desk: Desk, tracker: Tracker) -> None:
    journal = desk.journal
    tracker.start_study(journal.record_study(study_log()))
    tracker.log_trial(journal.record_trial(trial_log(0, 0.2)))
    tracker.log_trial(journal.record_trial(failed_log(1)))
    tracker.log_trial(journal.record_trial(trial_log(2, 0.4)))
    tracker.log_trial(journal.record_trial(trial_log(3, 0.3, state="pruned", reason="below the median")))
    tracker.log_confirmation(journal.record_confirmation(confirmation_log(2)))


def runs(workspace: Workspace) -> dict[str, Run]:
    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    named = {run.info.run_name: run for run in found}
    assert len(named) == len(found), "a run stands twice"
    return named


# -- every tracker -------------------------------------------------------------------------------------------------


def test_a_whole_study_can_be_told(desk: Desk) -> None:
    tracker = desk.tracker()
    tell_all(desk, tracker)
    tracker.finish_study(desk.journal.record_outcome(OUTCOME))
    assert tracker.flush(60)
    assert tracker.close(60) == ""
    assert tracker.close(1) == ""


def test_telling_returns_at_once_and_never_raises(desk: Desk) -> None:
    desk.workspace = Workspace(desk.workspace.root, "http://127.0.0.1:9", desk.workspace.cache)
    tracker = desk.tracker()
    started = time.monotonic()
    tell_all(desk, tracker)
    tracker.replay(read_events(desk.workspace.study("s")))
    assert time.monotonic() - started < 10
    tracker.close(0.1)


def test_replay_alone_is_enough(desk: Desk) -> None:
    tell_all(desk, NullTracker())
    tracker = desk.tracker()
    tracker.replay(read_events(desk.workspace.study("s")))
    assert tracker.close(60) == ""


def test_nothing_told_is_nothing_to_close(desk: Desk) -> None:
    tracker = desk.tracker()
    tracker.replay(())
    assert tracker.close(60) == ""


# -- what MLflow shows ---------------------------------------------------------------------------------------------


def test_mlflow_shows_the_study_and_each_trial(mlflow_desk: Desk) -> None:
    desk = mlflow_desk
    tracker = desk.tracker(keep_top=1)
    tell_all(desk, tracker)
    tracker.finish_study(desk.journal.record_outcome(OUTCOME))
    assert tracker.close(60) == ""
    shown = runs(desk.workspace)
    assert {name: run.info.status for name, run in shown.items()} == {
        **{"study s": "FINISHED", "trial 0000": "FINISHED", "trial 0001": "FAILED"},
        **{"trial 0002": "FINISHED", "trial 0003": "KILLED"},
    }
    parent, best = shown["study s"], shown["trial 0002"]
    assert best.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert best.data.params["train.lr"] == "0.0015"
    assert best.data.metrics["score"] == 0.4
    assert best.data.metrics["confirmed_score"] == 0.25
    assert best.info.end_time - best.info.start_time == pytest.approx(2500, abs=5)
    assert parent.data.metrics["score_selected"] == 0.3
    assert parent.data.metrics["best_score"] == 0.4
    client = MlflowClient(desk.workspace.mlflow_uri)
    history = client.get_metric_history(best.info.run_id, "score")
    assert sorted((point.step, point.value) for point in history) == [(5, 0.1), (10, 0.2), (10, 0.4)]
    names = {entry.path for entry in client.list_artifacts(best.info.run_id)}
    assert {"config.yaml", "confusion.csv", "figures", "weights.safetensors"} <= names
    assert "journal.jsonl" in {entry.path for entry in client.list_artifacts(parent.info.run_id)}
    assert best.info.artifact_uri.startswith(desk.workspace.artifacts.as_uri())
    assert {entry.path for entry in client.list_artifacts(shown["trial 0000"].info.run_id)} == {
        "config.yaml",
        "confusion.csv",
    }


def test_replay_changes_nothing_that_is_shown(mlflow_desk: Desk) -> None:
    first = mlflow_desk.tracker()
    tell_all(mlflow_desk, first)
    first.close(60)
    before = runs(mlflow_desk.workspace)
    second = mlflow_desk.tracker()
    second.start_study(mlflow_desk.journal.record_study(study_log(settings={"seed": 3, "budget.trials": 400})))
    second.replay(read_events(mlflow_desk.workspace.study("s")))
    assert second.close(60) == ""
    after = runs(mlflow_desk.workspace)
    assert {name: run.info.run_id for name, run in after.items()} == {name: r.info.run_id for name, r in before.items()}
    for name in before.keys() - {"study s"}:
        assert after[name].to_dictionary() == before[name].to_dictionary()


def test_a_run_never_stays_running(mlflow_desk: Desk) -> None:
    tracker = mlflow_desk.tracker()
    tell_all(mlflow_desk, tracker)
    assert tracker.flush(60)
    assert runs(mlflow_desk.workspace)["study s"].info.status == "RUNNING"
    assert tracker.close(60) == ""
    assert runs(mlflow_desk.workspace)["study s"].info.status == "KILLED"


def test_stale_runs_of_dead_processes_are_closed_and_others_left(workspace: Workspace) -> None:
    assert close_stale_runs(Workspace(workspace.root, f"sqlite:///{workspace.root}/none.db", workspace.cache)) == []
    assert not (workspace.root / "none.db").exists()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.create_experiment("e", workspace.artifacts.as_uri())
    common = {"rfe.host": socket.gethostname(), "rfe.refreshed": str(int(time.time()))}
    dead = client.create_run(experiment, tags={**common, "rfe.study": "dead", "rfe.pid": str(ended.pid)})
    of_dead = client.create_run(
        experiment, tags={"rfe.study": "dead", "rfe.trial": "1", "mlflow.parentRunId": dead.info.run_id}
    )
    alive = client.create_run(experiment, tags={**common, "rfe.study": "alive", "rfe.pid": str(os.getpid())})
    of_alive = client.create_run(
        experiment, tags={"rfe.study": "alive", "rfe.trial": "1", "mlflow.parentRunId": alive.info.run_id}
    )
    foreign = client.create_run(experiment)
    assert close_stale_runs(workspace, "alive") == []
    assert close_stale_runs(workspace) == ["dead"]
    states = [client.get_run(run.info.run_id).info.status for run in (dead, of_dead, alive, of_alive, foreign)]
    assert states == ["KILLED", "KILLED", "RUNNING", "RUNNING", "RUNNING"]


def test_the_next_start_closes_what_a_dead_driver_of_another_study_left(mlflow_desk: Desk) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    client = MlflowClient(mlflow_desk.workspace.mlflow_uri)
    tags = {"rfe.host": socket.gethostname(), "rfe.pid": str(ended.pid), "rfe.study": "dead"}
    dead = client.create_run(client.create_experiment("dead"), tags=tags)
    tracker = mlflow_desk.tracker()
    tracker.start_study(mlflow_desk.journal.record_study(study_log()))
    assert tracker.flush(60)
    assert client.get_run(dead.info.run_id).info.status == "KILLED"
    assert runs(mlflow_desk.workspace)["study s"].info.status == "RUNNING"
    assert tracker.close(60) == ""


def test_an_outage_loses_nothing(mlflow_desk: Desk) -> None:
    """The database cannot be opened at first; what was told meanwhile is there when it can."""
    blocked = mlflow_desk.workspace.root / "later"
    blocked.write_text("a file where the folder of the database will be")
    workspace = Workspace(mlflow_desk.workspace.root, f"sqlite:///{blocked}/mlflow.db", mlflow_desk.workspace.cache)
    notes: list[str] = []
    tracker = MlflowTracker(workspace, workspace.study("s"), note=notes.append)
    tell_all(mlflow_desk, tracker)
    deadline = time.monotonic() + 20
    while not notes and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "results are saved locally, retrying" in notes[0]
    blocked.unlink()
    blocked.mkdir()
    shutil.copy(mlflow_desk.workspace.root / "mlflow.db", blocked / "mlflow.db")
    assert tracker.close(60) == ""
    assert len(runs(workspace)) == 5
    assert notes[-1].endswith("is available again")


def test_what_is_left_at_close_is_said_and_comes_with_the_next_start(mlflow_desk: Desk) -> None:
    away = Workspace(mlflow_desk.workspace.root, "http://user:secret@127.0.0.1:9", mlflow_desk.workspace.cache)
    notes: list[str] = []
    tracker = MlflowTracker(away, away.study("s"), note=notes.append)
    tell_all(mlflow_desk, tracker)
    said = tracker.close(0.5)
    assert (
        "6 results are saved locally and will reach MLflow at http://***@127.0.0.1:9 when the study is next opened"
        in said
    )
    assert not any("secret" in line for line in [said, tracker.where(), *notes])
    tracker = mlflow_desk.tracker()
    tracker.replay(read_events(mlflow_desk.workspace.study("s")))
    assert tracker.close(60) == ""
    assert len(runs(mlflow_desk.workspace)) == 5


def test_a_refused_entry_is_not_tried_for_ever() -> None:
    assert is_hopeless(MlflowException("bad name", INVALID_PARAMETER_VALUE))
    assert not is_hopeless(MlflowException("later", TEMPORARILY_UNAVAILABLE))
    assert not is_hopeless(ConnectionError("no route"))


def test_messages_carry_no_credentials() -> None:
    error = ConnectionError("cannot reach http://me:secret@host/api?x and more\nsecond line")
    assert one_line(error, "http://me:secret@host") == "cannot reach http://***@host/api?x and more"


def test_of_a_databases_error_its_drivers_words_are_said() -> None:
    error = MlflowException(
        "(raised as a result of Query-invoked autoflush)\n(sqlite3.OperationalError) database or disk is full\n[SQL: x]"
    )
    assert one_line(error, "sqlite:///m.db") == "database or disk is full"
