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
