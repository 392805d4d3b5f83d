"""What needs a real Ray of a study that is changed while it runs: workers that go and come, nodes that are taken."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rfe import api
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events
from rfe.search.driver import run_search
from rfe.search.fleet import open_fleet
from rfe.search.options import RunOptions
from rfe.search.outcome import StudyOutcome
from rfe.search_space import load_space
from rfe.workspace import Workspace, open_workspace
from tests.integration import fakes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
WAIT_S = 180.0


@pytest.fixture(autouse=True)
def stacks_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the stand-in."""
    monkeypatch.setattr("rfe.search.fleet.open_fleet", partial(open_fleet, stack=2, train=fakes.TRAIN))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return fakes.write_data(tmp_path / "data")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = open_workspace(tmp_path / "w")
    workspace.cache.mkdir(parents=True)
    (workspace.cache / fakes.SLEEP).write_text("3")
    return workspace


def logs(workspace: Workspace) -> dict[int, TrialLog]:
    events = read_events(workspace.study("s")) if workspace.study("s").journal.exists() else ()
    return {event.number: event for event in events if isinstance(event, TrialLog)}


def wait(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Search(threading.Thread):
    """A search of stacks of two, in the background."""

    def __init__(self, workspace: Workspace, data: Path, trials: int, address: str | None = None) -> None:
        super().__init__(daemon=True)
        self.workspace, self.data, self.address = workspace, data, address
        lines = {"train.lr": {"float": [1.0e-4, 1.0e-2], "log": True}}
        given = {"study": "s", "space": lines, "sampler": {"kind": "random"}, "budget": {"trials": trials}}
        self.space = load_space({**given, "confirm": {"top": 0}})
        self.outcome: StudyOutcome | None = None

    def run(self) -> None:
        self.outcome = run_search(self.space, self.data, self.workspace, RunOptions(workers=2, address=self.address))

    def end(self) -> StudyOutcome:
        self.join(WAIT_S)
        assert self.outcome is not None
        return self.outcome


def live_workers(workspace: Workspace) -> int:
    """How many workers the search says that it has."""
    live = api.show_study("s", workspace).live
    return 0 if live is None or live.search is None else live.search.workers


def test_workers_are_given_back_and_taken_again(workspace: Workspace, data: Path) -> None:
    search = Search(workspace, data, 24)
    search.start()
    wait(lambda: len(logs(workspace)) >= 2 and live_workers(workspace) == 2)
    api.change_study("s", workers=1, workspace=workspace)
    wait(lambda: live_workers(workspace) == 1)
    before = len(logs(workspace))
    wait(lambda: len(logs(workspace)) > before)
    api.change_study("s", workers=2, workspace=workspace)
    wait(lambda: live_workers(workspace) == 2)
    assert search.end().trials["complete"] == 24
    assert not any("lost_workers" in log.tags for log in logs(workspace).values())


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    store = {"object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False, **store})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def test_a_node_that_is_drained_gives_back_what_it_trains(cluster: Any, workspace: Workspace, data: Path) -> None:
    import ray

    node = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    search = Search(workspace, data, 16, address=cluster.address)
    search.start()
    wait(lambda: len(logs(workspace)) >= 2 and live_workers(workspace) == 2)
    gcs = ray._raylet.GcsClient(address=cluster.address)
    preempted, deadline_ms = 2, int(1000 * (time.time() + 60))
    accepted, why = gcs.drain_node(node.node_id, preempted, "taken by a test", deadline_ms)
    assert accepted, why
    wait(lambda: len(logs(workspace)) >= 10)
    cluster.remove_node(node)
    assert search.end().trials["complete"] == 16
    assert not any("lost_workers" in log.tags for log in logs(workspace).values())
