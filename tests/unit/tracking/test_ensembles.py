"""An ensemble's run: its scores, its files, and the way to its members."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from rfe.tracking.ensembles import _note, draw_trajectory, log_ensemble
from rfe.tracking.mlflow_server import open_server
from rfe.workspace import Workspace, open_workspace
from rfe.writing import write_json


@pytest.fixture
def workspace(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "w").mkdir()
    shutil.copy(empty_database, tmp_path / "w" / "mlflow.db")
    return open_workspace(tmp_path / "w")


def test_the_run_has_scores_figure_and_links_to_its_members(workspace: Workspace, tmp_path: Path) -> None:
    write_json(workspace.study("first").mlflow_runs, {"trial_run_ids": {"3": "a1b2"}})
    interval = {"estimate": 0.33, "standard_error": 0.01, "low": 0.31, "high": 0.35, "notes": []}
    about: dict[str, Any] = {
        "name": "final",
        "data": {"fingerprint": "f00", "simulated": True, "caveats": ["simulated data"]},
        "members": [
            {"study": "first", "trial": 3, "config_id": "x", "weight": 0.7, "ratio_weight": 0.7},
            {"study": "gone", "trial": 1, "config_id": "y", "weight": 0.3, "ratio_weight": 0.3},
        ],
        "selection": {"method": "greedy", "start": 5, "separate_heads": False},
        "scores": {"score_nested": interval, "score_single_nested": interval, "score_in_sample": 0.4},
        "trajectory": [2.0, 1.5, 1.4],
        "trajectory_start": 5,
    }
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


def test_the_score_of_an_ensemble_by_design_is_called_transductive() -> None:
    interval = {"estimate": 0.33, "lower_95": 0.3, "upper_95": 0.36}
    about = {
        "data": {"caveats": []},
        "members": [],
        "selection": {"decoding": "design"},
        "scores": {"score_nested": interval, "score_single_nested": interval, "score_in_sample": 0.4},
    }
    assert _note(about, {}).startswith("Score, nested (transductive): **0.330**")
