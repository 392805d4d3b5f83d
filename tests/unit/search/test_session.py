"""How many workers fit where; no Ray is started."""

from typing import Any

import pytest

from rfe.errors import ConfigError
from rfe.search import session
from rfe.search.session import Session, open_session, plan_session, within


def node(cpus: float, gpus: float = 0.0, alive: bool = True, name: str = "") -> dict[str, Any]:
    return {"Alive": alive, "NodeID": name, "Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})}}


@pytest.fixture(autouse=True)
def _eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "available_cpus", lambda: 8)
    monkeypatch.setattr(session, "free_memory", lambda: 2**40)


def test_a_machine_has_a_few_workers_or_one_for_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan_session([node(9)], None, local=True) == Session(True, 4, 0.0, 2)
    assert plan_session([node(9, 2)], None, local=True) == Session(True, 2, 1.0, 4)
    monkeypatch.setattr(session, "available_cpus", lambda: 2)
    assert plan_session([node(3)], None, local=True) == Session(True, 2, 0.0, 1)


def test_workers_asked_for_share_a_machines_cpus() -> None:
    assert plan_session([node(9)], 3, local=True) == Session(True, 3, 0.0, 2)
    assert plan_session([node(20)], 20, local=True) == Session(True, 20, 0.0, 1)
    assert plan_session([node(9, 1)], 2, local=True) == Session(True, 2, 0.5, 4)


def test_a_cluster_keeps_room_for_the_light_trials() -> None:
    nodes = [node(4, name="head"), node(4), node(99, alive=False)]
    plan = plan_session(nodes, None, local=False, here="head")
    assert (plan.n_workers, plan.threads_per_worker) == (7, 1)
    assert plan_session(nodes, 2, local=False, here="head").threads_per_worker == 3
    assert plan_session(nodes, 2, local=False, here="elsewhere").threads_per_worker == 4


def test_no_worker_straddles_two_nodes() -> None:
    plan = plan_session([node(3, name="head"), node(5)], 3, local=False, here="head")
    assert (plan.n_workers, plan.threads_per_worker) == (3, 2)


def test_a_cluster_smaller_than_asked_is_used_and_said_so() -> None:
    plan = plan_session([node(2, name="head"), node(2)], 8, local=False, here="head")
    assert plan.n_workers == 3
    assert "8 workers asked for, the cluster has room for 3" in plan.note
    assert plan_session([node(16, 4)], 8, local=False).n_workers == 4


def test_a_cluster_without_room_is_refused() -> None:
    with pytest.raises(ConfigError, match="no room"):
        plan_session([node(1, name="head")], None, local=False, here="head")


def test_workers_join_where_the_cluster_grew_and_is_free() -> None:
    nodes = [node(3, name="head"), node(2)]
    session = plan_session(nodes, None, local=False, here="head")
    assert (session.n_workers, session.threads_per_worker) == (4, 1)
    assert session.room_for_more(4, nodes, {"CPU": 1.0}) == 0
    grown = [*nodes, node(8)]  # no more workers on a node than at the start
    assert session.room_for_more(4, grown, {"CPU": 9.0}) == 4
    assert session.room_for_more(4, grown, {"CPU": 2.0}) == 2
    assert session.room_for_more(4, [*nodes, node(8, alive=False)], {"CPU": 1.0}) == 0


def test_no_more_join_than_were_asked_for() -> None:
    session = plan_session([node(3, name="head")], 4, local=False, here="head")
    assert session.n_workers == 2
    assert session.room_for_more(2, [node(3, name="head"), node(8)], {"CPU": 9.0}) == 2
    local = plan_session([node(9)], 4, local=True)
    assert local.room_for_more(1, [node(9)], {"CPU": 9.0}) == 0


@pytest.mark.parametrize(
    ("gpus", "workers", "share"), [(1, 3, 1 / 3), (2, 3, 1 / 2), (4, 6, 1 / 2), (8, 4, 1.0), (8, 17, 1 / 3)]
)
def test_workers_that_share_gpus_all_find_a_place(gpus: int, workers: int, share: float) -> None:
    """Ray never splits a worker's share over two GPUs."""
    session = plan_session([node(64, gpus)], workers, local=True)
    assert session.gpus_per_worker == pytest.approx(share)
    assert gpus * int(1 / session.gpus_per_worker + 1e-9) >= workers


def test_gpus_that_join_are_used_one_for_each_worker() -> None:
    session = plan_session([node(5, 1, name="head")], None, local=False, here="head")
    assert (session.n_workers, session.threads_per_worker) == (1, 4)
    free = {"CPU": 17.0, "GPU": 4.0}
    assert session.room_for_more(1, [node(5, 1, name="head"), node(16, 4)], free) == 4


def test_a_busy_cluster_is_begun_on_with_what_is_free() -> None:
    session = plan_session([node(5, name="head"), node(4)], None, local=False, here="head")
    assert session.n_workers == 8
    begun = within(session, {"CPU": 3.0})
    assert begun.n_workers == 3
    assert "8 places for workers, 3 free" in begun.note
    assert within(session, {}).n_workers == 1  # it waits
    assert within(session, {"CPU": 9.0}) is session


def test_a_worker_in_words() -> None:
    assert Session(True, 1, 1.0, 4).describe() == "4 CPU + 1 GPU"
    assert Session(True, 1, 0.0, 2).resources_per_worker() == {"CPU": 2.0}


def test_no_worker_is_refused_before_ray_starts() -> None:
    with pytest.raises(ConfigError, match=r"--workers.*: 0 is not"), open_session(workers=0):
        pass


def test_a_machine_with_little_memory_has_fewer_workers_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: four workers in a container of 3 GB, which the kernel ended one after the other."""
    monkeypatch.setattr(session, "free_memory", lambda: 3 * 2**30)
    plan = plan_session([node(9)], None, local=True)
    assert (plan.n_workers, plan.threads_per_worker) == (2, 4)
    assert plan.note == "2 of 4 workers: there is memory for no more"
    assert plan_session([node(9)], 3, local=True).n_workers == 3  # asked for
    assert plan_session([node(9, 1)], None, local=True).note == ""
    monkeypatch.setattr(session, "free_memory", lambda: 2**20)
    assert plan_session([node(9)], None, local=True).n_workers == 1
    monkeypatch.setattr(session, "free_memory", lambda: None)
    assert plan_session([node(9)], None, local=True) == Session(True, 4, 0.0, 2)
