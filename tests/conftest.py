"""What tests of several kinds share."""

import os
from pathlib import Path

import pytest

# two processes of tests share two cores; before torch is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, which take seconds to make; each test copies it."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


LONG_FILES = (
    "integration/test_search.py",
    "integration/test_while_running.py",
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
