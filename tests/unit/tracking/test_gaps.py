"""A study's runs beside its journal, on a real MLflow."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from rfe.errors import StudyError
from rfe.journal.events import OutcomeLog
from rfe.journal.journal import Journal
from rfe.journal.records import read_events
from rfe.progress import SilentProgress
from rfe.tracking.gaps import close_stale_runs, find_gaps
from rfe.tracking.live import START_TAG
from rfe.tracking.mlflow_server import open_server
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.tracking.remote import find_remote, pull_study
from rfe.workspace import Workspace, open_workspace
from tests.unit.tracking.logs import confirmation_log, failed_log, study_log, trial_log

OUTCOME = OutcomeLog("s", "finished", "Best: trial 0.", {"score_best": 0.4, "score_selected": 0.3})
DEAD = {"rfe.host": "gone", "rfe.refreshed": "1000", START_TAG: ""}


@pytest.fixture
def workspace(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    workspace = open_workspace(tmp_path)
    tell(workspace)
    return workspace


def tell(workspace: Workspace, score: float = 0.4) -> None:
    tracker = MlflowTracker(workspace, workspace.study("s"))
    with Journal(workspace.study("s")) as journal:
        tracker.start_study(journal.record_study(study_log()))
        tracker.log_trial(journal.record_trial(trial_log(0, score)))
        tracker.log_trial(journal.record_trial(failed_log(1)))
        tracker.log_confirmation(journal.record_confirmation(confirmation_log(0)))
        tracker.finish_study(journal.record_outcome(OUTCOME))
    assert tracker.close(120) == ""


def gaps(workspace: Workspace) -> list[str]:
    return find_gaps(workspace, workspace.study("s"))


def write_again(workspace: Workspace) -> None:
    tracker = MlflowTracker(workspace, workspace.study("s"))
    tracker.replay(read_events(workspace.study("s")))
    assert tracker.close(120) == ""


def runs(workspace: Workspace) -> dict[str, Run]:
    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    assert len({run.info.run_name for run in found}) == len(found)
    return {str(run.info.run_name): run for run in found}


def leave_running(workspace: Workspace, client: MlflowClient, run: str) -> None:
    client.update_run(run, "RUNNING")
    for name, value in DEAD.items():
        client.set_tag(run, name, value)


def kill(workspace: Workspace, client: MlflowClient, run: str) -> None:
    client.set_terminated(run, "KILLED")
    client.set_tag(run, "rfe.state", "interrupted")


def forget_score(workspace: Workspace, client: MlflowClient, run: str) -> None:
    client.log_metric(run, "score_best", 0.1, step=1000)


def delete_run(workspace: Workspace, client: MlflowClient, run: str) -> None:
    client.delete_run(run)


def delete_experiment(workspace: Workspace, client: MlflowClient, run: str) -> None:
    client.delete_experiment(client.get_run(run).info.experiment_id)


@pytest.mark.parametrize(
    ("harm", "name", "found"),
    [
        (leave_running, "study s", ["the study's run: still running"]),
        (kill, "study s", ["the study's run: interrupted, in the journal finished"]),
        (delete_run, "study s", ["the study's run: missing"]),
        (delete_run, "trial 0000", ["trial 0: no run"]),
        (kill, "trial 0001", ["trial 1: interrupted, in the journal failed"]),
        (delete_experiment, "study s", ["its experiment is deleted"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_differs_is_found_without_a_change_and_written_again(
    workspace: Workspace, harm: Callable[..., None], name: str, found: list[str]
) -> None:
    """Before: a study's run was compared in nothing but RUNNING, a missing one was no gap, and a look restored a
    deleted experiment."""
    assert gaps(workspace) == []
    client = MlflowClient(workspace.mlflow_uri)
    before = runs(workspace)
    experiment = before["study s"].info.experiment_id
    harm(workspace, client, before[name].info.run_id)
    for _ in range(2):
        assert gaps(workspace) == found
    assert client.get_experiment(experiment).lifecycle_stage == ("deleted" if harm is delete_experiment else "active")
    write_again(workspace)
    assert gaps(workspace) == []
    after = runs(workspace)
    assert {name: run.info.status for name, run in after.items()} == {
        **{"study s": "FINISHED", "trial 0000": "FINISHED", "trial 0001": "FAILED"}
    }
    assert after["study s"].data.metrics["score_best"] == 0.4
    parents = {after[name].data.tags["mlflow.parentRunId"] for name in ("trial 0000", "trial 0001")}
    assert parents == {after["study s"].info.run_id}


@pytest.mark.parametrize("content", [b"", b'{"tracking_uri": "sq', b"[]"])
def test_a_damaged_list_of_runs_is_found_and_written_again(workspace: Workspace, content: bytes) -> None:
    """Before, it was no gap: `rfe ui` failed and ensembles had no links to the study's runs."""
    path = workspace.study("s").mlflow_runs
    whole = path.read_bytes()
    path.write_bytes(content)
    assert gaps(workspace) == ["mlflow.json: damaged"]
    write_again(workspace)
    assert (gaps(workspace), path.read_bytes()) == ([], whole)


def test_another_value_than_the_journals_is_found(workspace: Workspace) -> None:
    client = MlflowClient(workspace.mlflow_uri)
    forget_score(workspace, client, runs(workspace)["study s"].info.run_id)
    assert gaps(workspace) == ["the study's run: another score_best than the journal's"]


def test_a_study_that_was_opened_again_and_died_shows_its_former_end_no_longer(workspace: Workspace) -> None:
    """Before, MLflow went on to say that it had finished, and repair that all agreed."""
    with Journal(workspace.study("s")) as journal:
        journal.record_study(study_log())
    assert gaps(workspace) == ["the study's run: finished, in the journal interrupted"]
    write_again(workspace)
    assert gaps(workspace) == []
    assert runs(workspace)["study s"].info.status == "KILLED"


def test_a_confirmation_that_is_not_shown_is_found(workspace: Workspace) -> None:
    with Journal(workspace.study("s")) as journal:
        journal.record_confirmation(confirmation_log(1))
        journal.record_outcome(OUTCOME)
    assert gaps(workspace) == ["trial 1: no confirmation"]
    write_again(workspace)
    assert gaps(workspace) == []


def test_a_stale_run_ends_as_the_journal_says(workspace: Workspace) -> None:
    """Before, it was KILLED and `interrupted`, and repair said that all agreed."""
    client = MlflowClient(workspace.mlflow_uri)
    own = runs(workspace)["study s"].info.run_id
    leave_running(workspace, client, own)
    client.set_tag(own, "rfe.state", "running")
    assert close_stale_runs(workspace) == []
    assert client.get_run(own).info.status == "FINISHED"
    assert gaps(workspace) == []
    with Journal(workspace.study("s")) as journal:
        journal.record_study(study_log())  # it went on, and was killed
    leave_running(workspace, client, own)
    assert close_stale_runs(workspace) == ["s"]
    assert client.get_run(own).info.status == "KILLED"


def test_pull_says_what_was_deleted(workspace: Workspace, tmp_path: Path) -> None:
    """Before: unknown study."""
    client = MlflowClient(workspace.mlflow_uri)
    own = runs(workspace)["study s"]
    elsewhere = open_workspace(tmp_path / "elsewhere").tracked_at(workspace.mlflow_uri)
    client.delete_run(own.info.run_id)
    with open_server(elsewhere) as server, pytest.raises(StudyError, match="run of study 's' is deleted in MLflow"):
        find_remote(server, "s")
    client.restore_run(own.info.run_id)
    client.delete_experiment(own.info.experiment_id)
    with open_server(elsewhere) as server, pytest.raises(StudyError, match="experiment of study 's' is deleted"):
        pull_study(server, "s", elsewhere, SilentProgress())
    assert client.get_experiment(own.info.experiment_id).lifecycle_stage == "deleted"


@pytest.mark.parametrize("runs_are", ["deleted", "kept"])
def test_a_later_study_of_the_same_name_shows_its_own_results(workspace: Workspace, runs_are: str) -> None:
    """Before, a trial whose number an earlier study's run had was taken for shown."""
    if runs_are == "deleted":
        with open_server(workspace) as server:
            assert server.delete_experiment("s")
    shutil.rmtree(workspace.study("s").path)
    tell(workspace, score=0.123)
    assert gaps(workspace) == []
    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None
    shown = client.search_runs([experiment.experiment_id], "tags.`rfe.trial` = '0'")
    assert sorted(run.data.metrics["score"] for run in shown) == ([0.123] if runs_are == "deleted" else [0.123, 0.4])
