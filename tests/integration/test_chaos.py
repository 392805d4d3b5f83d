"""Searches on a cluster in which workers, raylets, drivers and the MLflow server are killed: no trial is lost.

The quick version, with a single worker, is `test_search.test_a_killed_driver_is_resumed_to_the_same_study`.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.study import read_study
from rfe.workspace import Workspace
from tests.integration import fakes
from tests.integration.chaos import KINDS, open_chaos

TRIALS = 60
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.write_data(tmp_path_factory.mktemp("chaos") / "tiny")


def states(workspace: Workspace, study: str, trials: int = TRIALS) -> dict[int, str]:
    """Trial -> state, after checking that journal, Optuna and MLflow agree that each ended once."""
    logs = [event for event in read_events(workspace.study(study)) if isinstance(event, TrialLog)]
    assert Counter(log.number for log in logs) == Counter(range(trials))
    journal = {log.number: log.state for log in logs}
    assert {row.number: row.state for row in read_study(workspace.study(study).path).trials} == journal
    assert mlflow_statuses(workspace, study) == {number: STATUS[state] for number, state in journal.items()}
    return journal


def mlflow_statuses(workspace: Workspace, study: str) -> dict[int, str]:
    from mlflow import MlflowClient

    client = MlflowClient(workspace.mlflow_uri)
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    runs = list(client.search_runs([experiment.experiment_id], max_results=1000))
    assert "RUNNING" not in {run.info.status for run in runs}
    trials = [run for run in runs if "rfe.trial" in run.data.tags]
    assert len(runs) == len(trials) + 1
    assert len({run.data.tags["rfe.trial"] for run in trials}) == len(trials)
    return {int(run.data.tags["rfe.trial"]): run.info.status for run in trials}


@pytest.mark.chaos
def test_every_trial_is_trained_as_if_nothing_had_happened(data: Path, tmp_path: Path) -> None:
    with open_chaos(data, tmp_path / "disturbed", seed=1) as disturbed:
        assert disturbed.search("chaos", TRIALS, "random", "none", KINDS * 2) == 0
        assert len(disturbed.events) == 8
        assert set(states(disturbed.workspace, "chaos").values()) == {"complete"}
    with open_chaos(data, tmp_path / "quiet", seed=1) as quiet:
        assert quiet.search("chaos", TRIALS, "random", "none") == 0
        assert set(states(quiet.workspace, "chaos").values()) == {"complete"}
    found, expected = (
        {log.number: log for log in read_events(one.workspace.study("chaos")) if isinstance(log, TrialLog)}
        for one in (disturbed, quiet)
    )
    for number, log in expected.items():
        assert found[number].config == log.config
        for metric, by_fold in log.per_fold.items():
            # sums in another order may move a clip that lies on a threshold
            assert found[number].per_fold[metric] == pytest.approx(by_fold, abs=0.05)
        if "duplicate_of" not in log.tags:
            files = (one.workspace.cache / f"chaos-{number}.npy" for one in (disturbed, quiet))
            np.testing.assert_allclose(*(np.load(file) for file in files), atol=1e-4)


@pytest.mark.slow
def test_a_node_that_joins_is_used(data: Path, tmp_path: Path) -> None:
    with open_chaos(data, tmp_path / "grows", seed=15) as chaos:  # the node joins after two trials: time to be seen
        assert chaos.search("chaos", 36, "random", "none", ["join"]) == 0
        assert set(states(chaos.workspace, "chaos", 36).values()) == {"complete"}
        said = (chaos.root / "driver.log").read_text()
    assert "4 workers asked for, the cluster has room for 3" in said
    assert "1 more worker: the cluster has room for 4 now" in said


@pytest.mark.slow
def test_a_pruned_search_accounts_for_every_trial(data: Path, tmp_path: Path) -> None:
    with open_chaos(data, tmp_path / "disturbed", seed=2) as chaos:
        assert chaos.search("chaos", TRIALS, "tpe", "asha", KINDS * 2) == 0
        assert len(chaos.events) == 8
        counts = Counter(states(chaos.workspace, "chaos").values())
    assert counts["failed"] == 0
    assert counts["pruned"] >= 5
    assert counts["complete"] >= 5


@pytest.mark.chaos
def test_frozen_workers_a_frozen_mlflow_and_a_lost_head_node_lose_nothing(data: Path, tmp_path: Path) -> None:
    with open_chaos(data, tmp_path / "frozen", seed=4) as chaos:
        assert chaos.search("chaos", 40, "random", "none", ["freeze", "slow mlflow", "freeze", "head"]) == 0
        assert len(chaos.events) == 4
        assert set(states(chaos.workspace, "chaos", 40).values()) == {"complete"}
        said = (chaos.root / "driver.log").read_text()
    assert "does not answer; what finished is saved" in said
