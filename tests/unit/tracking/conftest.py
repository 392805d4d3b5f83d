"""A workspace that MLflow can show at once."""

import shutil
from pathlib import Path

import pytest

from rfe.workspace import Workspace, open_workspace


@pytest.fixture
def workspace(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "w").mkdir()
    shutil.copy(empty_database, tmp_path / "w" / "mlflow.db")
    return open_workspace(tmp_path / "w")
