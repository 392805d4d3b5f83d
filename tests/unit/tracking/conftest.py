"""A workspace that MLflow can show at once."""

import pytest

from rfe.workspace import Workspace


@pytest.fixture
def workspace(mlflow_workspace: Workspace) -> Workspace:
    return mlflow_workspace
