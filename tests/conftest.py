"""What tests of several kinds share."""

import os
import shutil
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


@pytest.fixture
def mlflow_workspace(workspace: "Workspace", empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> "Workspace":
    """A workspace that MLflow can show at once, with figures that take no time."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])
    workspace.root.mkdir()
    shutil.copy(empty_database, workspace.root / "mlflow.db")
    return workspace


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> "Dataset":
    """36 labelled clips of 6 actors and 12 of 2 target actors, in two encoders; tests change nothing of it."""
    from rfe.data.dataset import load_dataset
    from tests.unit.data.folders import make_folder

    return load_dataset(make_folder(tmp_path_factory.mktemp("data") / "made-up"))


LONG_FILES = (
    "integration/test_search.py",
    "integration/test_while_it_runs.py",
    "unit/search/test_repair.py",
    "unit/tracking/test_remote.py",
    "unit/ablation/test_ablate.py",
    "unit/training/test_engine.py",
    "contract/test_samplers.py",
)
"""Files of most seconds. With `--dist loadfile` one of them at the end would leave the other process idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first; `make test` keeps pytest-xdist from sorting files by their number of tests."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(here).as_posix() if item.path.is_relative_to(here) else ""
        return LONG_FILES.index(name) if name in LONG_FILES else len(LONG_FILES)

    items.sort(key=place)
