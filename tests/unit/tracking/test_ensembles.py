"""An ensemble's run: its scores, its files, and the way to its members."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from rfe.tracking.ensembles import _note, draw_trajectory, log_ensemble
from rfe.tracking.gaps import close_stale_runs
from rfe.tracking.live import START_TAG
from rfe.tracking.mlflow_server import open_server
from rfe.tracking.retrying_server import RetryingServer, repeat_for
from rfe.workspace import Workspace, open_workspace
from rfe.writing import write_json
from tests.unit.tracking.test_run_writer import AwayError, MemoryServer


@pytest.fixture
def workspace(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])
    (tmp_path / "w").mkdir()
    shutil.copy(empty_database, tmp_path / "w" / "mlflow.db")
    return open_workspace(tmp_path / "w")


INTERVAL = {"estimate": 0.33, "standard_error": 0.01, "low": 0.31, "high": 0.35, "notes": []}
ABOUT: dict[str, Any] = {
    "name": "final",
    "data": {"fingerprint": "f00", "simulated": True, "caveats": ["simulated data"]},
    "members": [
        {"study": "first", "trial": 3, "config_id": "x", "weight": 0.7, "ratio_weight": 0.7},
        {"study": "gone", "trial": 1, "config_id": "y", "weight": 0.3, "ratio_weight": 0.3},
    ],
    "selection": {"method": "greedy", "start": 5, "separate_heads": False},
    "scores": {"score_nested": INTERVAL, "score_single_nested": INTERVAL, "score_in_sample": 0.4},
    "trajectory": [2.0, 1.5, 1.4],
    "trajectory_start": 5,
}


def test_the_run_has_scores_figure_and_links_to_its_members(workspace: Workspace, tmp_path: Path) -> None:
    about = ABOUT
    write_json(workspace.study("first").mlflow_runs, {"trial_run_ids": {"3": "a1b2"}})
    folder = tmp_path / "final"
    write_json(folder / "ensemble.json", about)
    draw_trajectory(folder, about)
    assert (folder / "trajectory.png").read_bytes().startswith(b"\x89PNG")
    with open_server(workspace) as server:
        run_id = log_ensemble(server, workspace, folder, about)
    run = MlflowClient(workspace.mlflow_uri).get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["score_nested"] == 0.33
    assert run.data.metrics["score_in_sample"] == 0.4
    assert run.data.tags["rfe.ensemble"] == "final"
    assert run.data.tags["rfe.member.first.3"] == "a1b2"
    assert "rfe.member.gone.1" not in run.data.tags
    assert "> simulated data" in run.data.tags["mlflow.note.content"]
    assert "transductive" not in str(run.data.tags)
    files = {one.path for one in MlflowClient(workspace.mlflow_uri).list_artifacts(run_id)}
    assert files == {"ensemble.json", "trajectory.png"}
    assert json.loads((folder / "ensemble.json").read_text())["name"] == "final"


@pytest.mark.parametrize("after", [False, True], ids=["not done", "answer lost"])
@pytest.mark.parametrize("fail_at", range(4))
def test_each_request_that_fails_is_repeated(workspace: Workspace, tmp_path: Path, fail_at: int, after: bool) -> None:
    """Before, one failed request left the run RUNNING with half of its content."""
    write_json(tmp_path / "final" / "ensemble.json", ABOUT)
    server = MemoryServer(fail_at, after)
    log_ensemble(RetryingServer(server, repeat_for(60, lambda error: False)), workspace, tmp_path / "final", ABOUT)
    [run] = server.runs.values()
    assert server.calls > fail_at  # that one failed
    assert (run["status"], run["files"]) == ("FINISHED", {"ensemble.json"})
    assert run["metrics"]["score_nested"] == 0.33
    assert run["params"]["selection.method"] == "greedy"


def test_a_request_that_keeps_failing_raises_its_error() -> None:
    asked = []

    def fail() -> None:
        asked.append(1)
        raise AwayError

    for limit_s, hopeless, times in ((60.0, True, 1), (0.25, False, 2)):
        asked.clear()
        with pytest.raises(AwayError):
            repeat_for(limit_s, lambda error: hopeless)(fail)  # noqa: B023
        assert len(asked) <= times


def test_an_ensembles_run_whose_process_was_killed_is_ended(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, it stayed RUNNING; so did those that earlier versions made, which do not say who writes them."""
    write_json(tmp_path / "final" / "ensemble.json", ABOUT)
    client = MlflowClient(workspace.mlflow_uri)
    with open_server(workspace) as server:
        run = log_ensemble(server, workspace, tmp_path / "final", ABOUT)
        client.update_run(run, "RUNNING")  # as it stands while it is written
        experiment = client.get_run(run).info.experiment_id
        old = client.create_run(experiment, tags={"rfe.ensemble": "old"}).info.run_id
        assert close_stale_runs(workspace) == []
        assert (client.get_run(run).info.status, client.get_run(old).info.status) == ("RUNNING", "KILLED")
        client.set_tag(run, START_TAG, "boot/1")
        assert close_stale_runs(workspace) == []  # no study was interrupted
        killed = client.get_run(run)
        assert (killed.info.status, killed.data.tags["rfe.state"]) == ("KILLED", "interrupted")


def test_the_score_of_an_ensemble_by_design_is_called_transductive() -> None:
    interval = {"estimate": 0.33, "low": 0.3, "high": 0.36}
    about = {
        "data": {"caveats": []},
        "members": [],
        "selection": {"decoding": "design"},
        "scores": {"score_nested": interval, "score_single_nested": interval, "score_in_sample": 0.4},
    }
    assert _note(about, {}).startswith("Score, nested (transductive): **0.330**")
