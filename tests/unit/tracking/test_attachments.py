"""Files shown beside the run of a study or an ensemble."""

import shutil
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from rfe.tracking.attachments import attach_files, study_run
from rfe.tracking.mlflow_server import open_server
from rfe.workspace import Workspace, open_workspace
from rfe.writing import write_json


@pytest.fixture
def workspace(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])
    (tmp_path / "w").mkdir()
    shutil.copy(empty_database, tmp_path / "w" / "mlflow.db")
    return open_workspace(tmp_path / "w")


def test_a_report_is_an_artifact_of_the_run(workspace: Workspace, tmp_path: Path) -> None:
    with open_server(workspace) as server:
        run = server.create(server.find_experiment("ensembles"), "ensemble final", {}, time.time())
    (tmp_path / "report.html").write_text("first")
    assert attach_files(workspace, "ensemble 'final'", run, {"report": [tmp_path / "report.html"]}) == ""
    (tmp_path / "report.html").write_text("second")
    assert attach_files(workspace, "ensemble 'final'", run, {"report": [tmp_path / "report.html"]}) == ""
    client = MlflowClient(workspace.mlflow_uri)
    assert [one.path for one in client.list_artifacts(run, "report")] == ["report/report.html"]
    assert Path(client.download_artifacts(run, "report/report.html", str(tmp_path))).read_text() == "second"


def test_a_study_without_a_run_is_a_sentence(workspace: Workspace) -> None:
    folder = workspace.study("first")
    assert study_run(folder) is None
    assert "study 'first' has no run" in attach_files(workspace, "study 'first'", study_run(folder), {})
    write_json(folder.mlflow_runs, {"study_run_id": "a1b2"})
    assert study_run(folder) == "a1b2"
