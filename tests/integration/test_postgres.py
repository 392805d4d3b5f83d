"""MLflow on PostgreSQL: by itself, and behind a server that passes artifacts on.

The search is the real one but for Ray: its books, with a stand-in for training.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from rfe.data.dataset import Dataset, load_dataset
from rfe.journal.records import read_events
from rfe.tracking.mlflow_tracker import MlflowTracker
from rfe.workspace import Workspace
from tests.integration import fakes
from tests.integration.servers import PATIENCE_S, mlflow_server, postgres, postgres_programs
from tests.unit.search.tiny_study import ENDED, run_study

PROGRAMS = postgres_programs()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed (Debian: apt-get install postgresql)"),
]
STATES = {f"trial {number:04}": "FINISHED" for number in range(ENDED)} | {
    "trial 0003": "FAILED",
    "study tiny": "KILLED",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert PROGRAMS is not None
    with postgres(PROGRAMS, tmp_path_factory.mktemp("postgres") / "server") as address:
        yield address


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(fakes.write_data(tmp_path_factory.mktemp("data") / "tiny"))


def log_study(workspace: Workspace, dataset: Dataset) -> MlflowClient:
    """A study is logged, all of it told again, and its runs are as one telling leaves them."""
    notes: list[str] = []
    tracker = MlflowTracker(workspace, workspace.study("tiny"), notes.append)
    run_study(workspace, dataset, tracker)
    assert tracker.close(PATIENCE_S) == ""
    again = MlflowTracker(workspace, workspace.study("tiny"), notes.append)
    again.replay(read_events(workspace.study("tiny")))
    assert again.close(PATIENCE_S) == ""
    assert notes == []
    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.run_name: run.info.status for run in runs} == STATES
    assert len(runs) == len(STATES)
    return client


def test_behind_a_server_that_passes_artifacts_on(database: str, dataset: Dataset, tmp_path: Path) -> None:
    with mlflow_server(database, tmp_path / "artifacts", tmp_path / "server.log") as port:
        workspace = Workspace(tmp_path / "workspace", f"http://127.0.0.1:{port}", tmp_path / "cache")
        client = log_study(workspace, dataset)
        experiment = client.get_experiment_by_name("tiny")
        assert experiment is not None
        best, *_ = client.search_runs([experiment.experiment_id], "tags.`rfe.trial` = '0'")
        assert best.info.artifact_uri.startswith("mlflow-artifacts:")
        config = client.download_artifacts(best.info.run_id, "config.yaml", str(tmp_path))
        assert Path(config).read_bytes() == (workspace.study("tiny").path / "trials/00000/config.yaml").read_bytes()
        assert list((tmp_path / "artifacts").rglob("config.yaml"))
        client.rename_experiment(experiment.experiment_id, "tiny, by the server")


def test_by_itself(database: str, dataset: Dataset, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace", database, tmp_path / "cache")
    client = log_study(workspace, dataset)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    assert client.search_runs([experiment.experiment_id], "metrics.score > 0", order_by=["metrics.score DESC"])
