"""What is said while no worker is up."""

from typing import Any

from rfe.search.fleet import describe_wait
from rfe.search.session import Session

CLUSTER = Session(False, 1, 0.0, 2, wanted=None, here="head")


def node(cpus: float, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "NodeID": "", "Resources": {"CPU": cpus}}


def test_a_slow_machine_is_not_taken_for_a_full_cluster() -> None:
    """Before: "does the cluster have 1 x 2 CPU free?" on the one machine there was, which was only slow."""
    local = describe_wait(Session(True, 1, 0.0, 2), True, [node(3)], {})
    assert "still starting" in local
    assert "(load " in local
    started = describe_wait(CLUSTER, False, [node(3)], {})
    assert "still starting" in started
    assert "cluster" not in started


def test_a_cluster_in_use_says_what_is_free_and_what_is_taken() -> None:
    said = describe_wait(CLUSTER, True, [node(3), node(1)], {"CPU": 1.0})
    assert (
        said == "the cluster is in use: a worker takes 2 CPU, and 1 CPU are free in all; they start when there is room"
    )


def test_a_cluster_whose_nodes_are_too_small_is_told_so() -> None:
    said = describe_wait(CLUSTER, True, [node(1), node(1), node(9, alive=False)], {"CPU": 2.0})
    assert said == "no node has the 2 CPU that a worker takes; start one that has"
