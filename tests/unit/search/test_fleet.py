"""What is said while no worker is up, and how a fleet changes its size."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rfe.search import fleet as fleet_module
from rfe.search.fleet import Fleet, describe_wait
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


class Groups:
    """Worker groups that do what they are told, and the resources they hold of a cluster's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, gpus: int, local: bool = False) -> None:
        self.gpus, self.retired = gpus, list[str]()
        monkeypatch.setattr(fleet_module, "WorkerGroup", self.make)
        ray = SimpleNamespace(nodes=self.nodes, available_resources=self.free, cluster_resources=self.all)
        monkeypatch.setattr(fleet_module, "ray", ray)
        queue: Any = SimpleNamespace(retire=self.retire)
        settings: Any = None
        self.fleet = Fleet(Session(local, gpus, 1.0, 1, here="head"), queue, settings, Path())
        self.fleet.start(gpus)

    def make(self, session: Session, n_workers: int, settings: Any, folder: Path, name: str) -> Any:
        return SimpleNamespace(n_workers=n_workers, name=name, ended=False, start=lambda: None, reason="")

    def retire(self, names: list[str]) -> None:
        self.retired = names

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "NodeID": "head", "Resources": self.all()}]

    def all(self) -> dict[str, float]:
        return {"CPU": 99.0, "GPU": float(self.gpus)}

    def free(self) -> dict[str, float]:
        held = sum(group.n_workers for group in self.fleet.groups if not group.ended)
        return {"CPU": 99.0, "GPU": float(self.gpus - held)}

    def leave(self) -> None:
        """The workers that were told to go have."""
        for group in self.fleet.groups:
            if group.name in self.retired:
                group.ended = True  # type: ignore[misc]


@pytest.mark.parametrize("local", [False, True])
def test_two_of_four_gpus_are_given_back_and_taken_again(local: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = Groups(monkeypatch, 4, local)
    fleet = groups.fleet
    assert fleet.resize(2) == 2
    assert groups.retired == ["workers0"]
    assert fleet.grow() == 0  # the GPUs are held until the last worker of the group is gone
    assert (fleet.n_workers, fleet.n_expected, fleet.ended) == (0, 2, False)
    groups.leave()
    assert not fleet.ended  # others come
    assert fleet.grow() == 2
    assert (fleet.n_workers, groups.free()["GPU"]) == (2, 2.0)
    assert fleet.grow() == 0  # not what it gave back
    assert fleet.resize(4) == 4
    assert groups.retired == ["workers0"]  # none that trains has to go
    assert fleet.grow() == 2
    assert fleet.n_workers == 4
    assert fleet.resize(2) == 2
    assert groups.retired == ["workers0", "workers2"]  # the newest; the other group trains on
    assert fleet.n_workers == 2
    groups.leave()
    assert fleet.grow() == 0
    fleet.groups[1].ended = True  # type: ignore[misc]
    assert fleet.ended


def test_a_local_ray_has_no_more_than_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = Groups(monkeypatch, 2, local=True)
    assert groups.fleet.resize(9) == 2
    assert not groups.fleet.resizing


def test_a_cluster_is_waited_for_until_it_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = Groups(monkeypatch, 2)
    assert groups.fleet.resize(3) == 3
    assert groups.fleet.grow() == 0
    groups.gpus = 3
    assert groups.fleet.grow() == 1
    assert not groups.fleet.resizing
