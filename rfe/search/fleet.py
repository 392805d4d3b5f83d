"""What a command trains with: a Ray session, the queue, and the workers that take from it. One serves many studies."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
from ray.exceptions import RayError
from ray.util import placement_group_table

from rfe.resources import available_cpus
from rfe.scratch import scratch_folder
from rfe.search.session import Session
from rfe.search.work_queue_actor import WorkQueueHandle, start_queue
from rfe.search.worker import WorkerSettings
from rfe.search.worker_group import WorkerGroup
from rfe.secrets import read_secrets

STACK_ON_CPU = 4
STACK_ON_GPU = 32
MAX_GROUPS = 20
"""Each is a Ray Train run, whose helper processes cost memory on the driver's node."""
LEAVE_S = 15.0
"""How long workers that have come up are waited for when they are told to go."""


DRAIN_S = 2.0
"""How often the cluster is asked which nodes are about to go; a spot instance is warned half a minute before."""


@dataclass
class Fleet:
    """See the module; use `open_fleet`."""

    session: Session
    queue: WorkQueueHandle
    settings: WorkerSettings
    folder: Path
    """Scratch of Ray Tune and Ray Train."""
    prefetch: int = 1
    """How much is asked for ahead of what the workers train: so many stacks for half of them. 0: with one worker, a
    cohort is asked for when the former one has ended, so that a resumed study equals an uninterrupted one."""
    groups: list[WorkerGroup] = field(default_factory=list)
    """The first one, and one for each time that the cluster grew or the number of workers was changed."""
    retired: set[str] = field(default_factory=set)
    """Names of groups whose workers were told to go."""
    resizing: bool = False
    """Whether workers are yet to be started in the place of those that go."""
    next_drain: float = 0.0
    """When the cluster is next asked which nodes are about to go."""
    warned: bool = False
    """Whether there were any when it was last asked."""

    @property
    def stack(self) -> int:
        """Most configurations that one worker trains at a time."""
        return self.settings.stack

    @property
    def n_workers(self) -> int:
        """How many were started and stay, also those that wait for a node."""
        return sum(group.n_workers for group in self._staying())

    @property
    def ended(self) -> bool:
        """Whether no worker will come any more."""
        if not all(group.ended for group in self.groups):
            return False
        return not (self.resizing and self.groups[-1].name in self.retired)  # else others come in their place

    @property
    def n_expected(self) -> int:
        """How many there are, or will be when there is room."""
        return max(self.n_workers, (self.session.wanted or 0) if self.resizing else 0)

    def _staying(self) -> list[WorkerGroup]:
        return [group for group in self.groups if not group.ended and group.name not in self.retired]

    def why_ended(self) -> str:
        """Why the workers are no more, in a sentence."""
        reasons = [group.reason for group in self.groups if group.reason]
        return f"the workers are gone: {reasons[-1] if reasons else 'their Ray Train run ended'}"

    def why_none(self) -> str:
        """Why no worker is up yet, as far as Ray tells, and what to do, in a sentence."""
        waiting = [one for one in placement_group_table().values() if one["state"] == "PENDING"]
        return describe_wait(self.session, bool(waiting), ray.nodes(), ray.available_resources())

    def start(self, n_workers: int) -> None:
        """Start a group of workers; returns at once."""
        group = WorkerGroup(self.session, n_workers, self.settings, self.folder, f"workers{len(self.groups)}")
        self.groups.append(group)
        group.start()

    def grow(self) -> int:
        """Start workers on what joined the cluster, or became free, since; returns how many."""
        if self.retired:
            self.queue.retire(sorted(self.retired))  # again: a queue that was lost starts with nothing
        if sum(not group.ended for group in self.groups) >= MAX_GROUPS:
            return 0
        free, wanted = ray.available_resources(), self.session.wanted or 0
        if not self.session.local:
            n = self.session.room_for_more(self.n_workers, ray.nodes(), free)
        else:
            n = max(0, min(wanted - self.n_workers, self.session.fit(free))) if self.resizing else 0
        self.resizing = self.resizing and self.n_workers + n < wanted
        if n:
            self.start(n)
        return n

    def resize(self, n_workers: int) -> int:
        """Train with so many workers from now on; returns how many there is room for.

        Ray Train gives a group's resources back when all of its workers are gone, so whole groups go, the newest first:
        their workers save what they train at the next epoch and give it back. What is then missing is started by `grow`
        as soon as there is room, and goes on with what was saved.
        """
        if self.session.local:  # it does not grow, and one CPU is for Tune's light trials
            room = ray.cluster_resources()
            n_workers = min(n_workers, max(1, self.session.fit({**room, "CPU": room.get("CPU", 1.0) - 1})))
        self.session = replace(self.session, wanted=n_workers)
        for group in reversed(self._staying()):
            if self.n_workers > n_workers:
                self.retired.add(group.name)
        self.resizing = self.n_workers < n_workers
        self.queue.retire(sorted(self.retired))
        return n_workers

    def drain(self) -> list[str]:
        """Have the workers on nodes that are about to go give back what they train; returns the nodes' ids."""
        if self.session.local or time.monotonic() < self.next_drain:
            return []
        self.next_drain = time.monotonic() + DRAIN_S
        nodes = draining_nodes()
        if nodes or self.warned:  # again: a queue that was lost starts with nothing
            self.queue.drain(nodes)
        self.warned = bool(nodes)
        return nodes

    def dismiss(self) -> None:
        """Have the workers go; those that do not are left to the end of the session."""
        with suppress(RayError):  # the queue or node is already dead; nothing to stop
            self.queue.stop()
            deadline = time.monotonic() + LEAVE_S
            for group in self.groups:
                group.join(max(0.0, deadline - time.monotonic()))


def draining_nodes() -> list[str]:
    """Ids of the nodes that Ray was warned about: preempted, or taken down by the autoscaler.

    Ray's own libraries ask it in this way and there is no public one; one that lacks it warns of nothing.
    """
    try:
        return sorted(ray._private.state.state.get_draining_nodes())
    except (AttributeError, RayError):
        return []


def describe_wait(
    session: Session, waiting: bool, nodes: Sequence[Mapping[str, Any]], free: Mapping[str, float]
) -> str:
    """Why no worker is up yet, in a sentence.

    Args:
        waiting: whether Ray has found no place for them yet.
        nodes: as `ray.nodes` tells them.
        free: resource -> amount that nothing uses, as `ray.available_resources` tells it.
    """
    if session.local or not waiting:
        load = f" (load {os.getloadavg()[0]:.0f} on {available_cpus()} CPUs)" if session.local else ""
        return f"they have their places and are still starting, which takes longer on a busy machine{load}"
    wanted = session.describe()
    if not any(one["Alive"] and session.fit(one["Resources"]) for one in nodes):
        return f"no node has the {wanted} that a worker takes; start one that has"
    left = ", ".join(f"{free.get(name, 0.0):g} {name}" for name in session.resources_per_worker())
    return f"the cluster is in use: a worker takes {wanted}, and {left} are free in all; they start when there is room"


def describe_failed_starts(reason: str) -> str:
    """That no worker gets as far as to take anything, in a sentence."""
    return f"the workers cannot start: {reason}; every node needs this package as it is here, and what it depends on"


@contextmanager
def open_fleet(
    session: Session,
    cache: Path,
    *,
    stack: int | None = None,
    train: str = "rfe.search.stack_training:train_stack",
    prefetch: int = 1,
) -> Iterator[Fleet]:
    """Start queue and workers; the workers come up in the background. Both end with the block.

    Args:
        session: the Ray they run on; open for as long.
        cache: folder of prepared features.
        stack: most configurations in one stack; None: by the device.
        train: dotted path of the `TrainStack` that workers run.
        prefetch: see `Fleet`.
    """
    folder = Path(tempfile.mkdtemp(prefix="search-", dir=scratch_folder()))
    try:
        size = stack or (STACK_ON_GPU if session.gpus_per_worker else STACK_ON_CPU)
        name = f"pool-{uuid4().hex[:8]}"
        queue = start_queue(name)
        settings = WorkerSettings(
            name,
            cache,
            size,
            session.threads_per_worker,
            device_share=session.gpus_per_worker or 1.0,
            train=train,
            secrets=read_secrets(),
        )
        fleet = Fleet(session, queue, settings, folder, prefetch)
        fleet.start(session.n_workers)
        try:
            yield fleet
        finally:
            fleet.dismiss()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
