"""A workspace with a study that commands can work on."""

import shutil
from pathlib import Path

import pytest

from rfe.data.dataset import load_dataset
from rfe.tracking.base import NullTracker
from rfe.workspace import Workspace, open_workspace
from tests.integration.fakes import write_data
from tests.unit.search.tiny_study import run_study


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = open_workspace(tmp_path_factory.mktemp("made"))
    run_study(workspace, load_dataset(write_data(tmp_path_factory.mktemp("tiny") / "data")), NullTracker())
    return workspace.root


@pytest.fixture
def tiny(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The command's workspace, with the study `tiny`: trials 0 to 4 have ended, 3 failed; 5 is open."""
    shutil.copytree(made, tmp_path / "w")
    monkeypatch.setenv("RFE_WORKSPACE", str(tmp_path / "w"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("rfe.api.running.POLL_S", 0.02)
    return open_workspace()
