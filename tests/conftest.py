"""What tests of several kinds share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rfe.data.dataset import Dataset
    from rfe.workspace import Workspace

# two processes of tests share two cores; before torch is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, which take seconds to make; each test copies it."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> "Workspace":
    from rfe.workspace import open_workspace

    return open_workspace(tmp_path / "w")


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> "Dataset":
    """36 labelled clips of 6 actors and 12 of 2 target actors, in two encoders; tests change nothing of it."""
    from rfe.data.dataset import load_dataset
    from tests.unit.data.folders import make_folder

    return load_dataset(make_folder(tmp_path_factory.mktemp("data") / "made-up"))
