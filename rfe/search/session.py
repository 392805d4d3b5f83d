"""Ray for one command: a local one with sensible limits, or a cluster by its address; ended if we started it."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, NamedTuple

from rfe.errors import ConfigError
from rfe.resources import available_cpus, free_memory
from rfe.search.arguments import whole_number
from rfe.search.cluster import cluster_address, connected_cluster
from rfe.search.interpreter import driver_environment
from rfe.search.local_ray import local_ray
from rfe.search.preconditions import LEAST_MEMORY

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # the controller's step: 2 s by default, most of a Train run's start
    "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "120",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths in a worker would mean something else
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a task without GPU leaves CUDA_VISIBLE_DEVICES as it is
    "RAY_DEDUP_LOGS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_MAX_PENDING_TRIALS_PG": "4",  # one by default: a cohort is then asked for when the former one's process is up
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # the study's journal is the state, not Tune's snapshots
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin for one another's end take 10 times as long on shared cores
}
WORKERS_ON_CPUS = 4
"""Most workers on a machine without GPUs, unless more are asked for. Two stacks on a thread each train faster than one
on two threads, but each worker costs memory, and a sampler learns less with more trials open."""
WORKER_BYTES = 2**30
"""Memory of a worker: its libraries, features and a small stack."""
LIGHT_CPU = 0.01
"""What a Tune trial asks for; Tune refuses 0."""


@dataclass(frozen=True)
class Session:
    """Where the command's work runs."""

    local: bool
    """Whether we started Ray, for this command only."""
    n_workers: int
    gpus_per_worker: float
    threads_per_worker: int
    note: str = ""
    """A sentence for the user where fewer workers than asked for fit."""
    wanted: int | None = None
    """How many workers were asked for; None: as many as there is room for."""
    here: str = ""
    """Id of the driver's node."""

    def room_for_more(self, n_started: int, nodes: list[dict[str, Any]], free: Mapping[str, float]) -> int:
        """How many workers like these can join `n_started` ones; 0 on a local Ray, which does not grow.

        Args:
            n_started: workers that were started, also those that are waiting for a node.
            nodes: as `ray.nodes` tells them.
            free: resource -> unused amount, as `ray.available_resources` tells it.
        """
        if self.local:
            return 0
        places = _places(nodes, self.threads_per_worker, self.here)
        most = min(self.wanted or places.most, places.room)
        return max(0, min(most - n_started, self.fit(free)))

    def fit(self, free: Mapping[str, float]) -> int:
        """How many workers the free resources hold."""
        return int(min(free.get(name, 0.0) // amount for name, amount in self.resources_per_worker().items()))

    def resources_per_worker(self) -> dict[str, float]:
        """What Ray reserves for a worker."""
        gpus = {"GPU": self.gpus_per_worker} if self.gpus_per_worker else {}
        return {"CPU": float(self.threads_per_worker), **gpus}

    def describe(self) -> str:
        """A worker's resources in words: `2 CPU + 1 GPU`."""
        return " + ".join(f"{amount:g} {name}" for name, amount in self.resources_per_worker().items())


@contextmanager
def open_session(
    address: str | None = None,
    workers: int | None = None,
    note: Callable[[str], None] = lambda sentence: None,
    **init: Any,
) -> Iterator[Session]:
    """Start a local Ray, or connect to the cluster at `address` (or `RAY_ADDRESS`); end what was started.

    A Ray this process is connected to already is used and left as it is.

    Args:
        address: a cluster's address; None and no `RAY_ADDRESS`: local.
        workers: how many are wanted; None: one per GPU, without GPUs up to four per node.
        note: told what takes longer than usual.
        init: further arguments of `ray.init`.

    Raises:
        ConfigError: the address does not answer, the cluster has no room for a single worker, or a local Ray does not
            start.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    workers = workers if workers is None else whole_number("workers", workers)
    address = cluster_address(address)
    import ray

    # Ray's own log lines are for those who debug it: its log folder keeps them
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    connected = ray.is_initialized()
    quiet = {"logging_level": logging.CRITICAL, "log_to_driver": False, "configure_logging": False}
    arguments = {**quiet, **driver_environment(sys.executable), **init}
    with ExitStack() as stacked:
        if not connected:
            stacked.enter_context(
                local_ray(workers, note, arguments) if address is None else connected_cluster(address, note, arguments)
            )
        here = ray.get_runtime_context().get_node_id()
        local = address is None and not connected
        session = plan_session(ray.nodes(), workers, local=local, here=here)
        yield session if local else within(session, ray.available_resources())


def plan_session(nodes: list[dict[str, Any]], workers: int | None, *, local: bool, here: str = "") -> Session:
    """How many workers fit, and how many threads each gets.

    Args:
        nodes: as `ray.nodes` tells them.
        workers: how many are wanted; None: one per GPU, without GPUs up to four per node.
        local: whether Ray was started for this command; it may then have more workers than CPUs.
        here: id of the driver's node, where one CPU stays free for Tune's light trials.

    Raises:
        ConfigError: there is no room for a worker.
    """
    places = _places(nodes, 1, here)
    if local:
        usual = min(available_cpus(), WORKERS_ON_CPUS)
        n = workers or places.gpus or min(usual, _workers_in_memory())
        chosen = workers is None and not places.gpus
        note = f"{n} of {usual} workers: there is memory for no more" if chosen and n < usual else ""
        # each GPU holds whole workers only, so that some have room for one more than they get
        gpus = 1 / ceil(n / places.gpus) if places.gpus else 0.0
        return Session(True, n, gpus, max(1, available_cpus() // n), note)
    if places.room < 1:
        raise ConfigError(
            f"the Ray cluster has no room: {places.cpus} CPUs and {places.gpus} GPUs beside the one CPU that the "
            "search itself needs; start a node with more, or leave --address out"
        )
    n = min(workers or places.most, places.room)
    threads = max(threads for threads in range(1, places.cpus + 1) if _places(nodes, threads, here).room >= n)
    note = "" if workers is None or n == workers else f"{workers} workers asked for, the cluster has room for {n}"
    return Session(False, n, 1.0 if places.gpus else 0.0, threads, note, workers, here)


def within(session: Session, free: Mapping[str, float]) -> Session:
    """The session with no more workers than fit beside what else runs on the cluster, but at least one, which waits."""
    n = min(session.n_workers, max(1, session.fit(free)))
    if n == session.n_workers:
        return session
    note = f"the cluster has {session.n_workers} places for workers, {n} free: the rest joins when free"
    return replace(session, n_workers=n, note=note)


def _workers_in_memory() -> int:
    """How many workers the free memory holds beside Ray, at least one."""
    free = free_memory()
    return WORKERS_ON_CPUS if free is None else max(1, 1 + int((free - LEAST_MEMORY) // WORKER_BYTES))


class _Places(NamedTuple):
    """Where workers could be."""

    cpus: int
    gpus: int
    room: int
    """How many workers fit."""
    most: int
    """How many are started by default."""


def _places(nodes: list[dict[str, Any]], threads: int, here: str) -> _Places:
    alive = [node for node in nodes if node["Alive"]]
    gpus = [int(node["Resources"].get("GPU", 0)) for node in alive]
    # one CPU of the driver's node is for Tune's light trials
    cpus = [max(0, int(node["Resources"].get("CPU", 0)) - (node["NodeID"] == here)) for node in alive]
    by_node = [cpu // threads for cpu in cpus]
    if sum(gpus):
        by_node = list(map(min, by_node, gpus))
    most = sum(by_node) if sum(gpus) else sum(min(n, WORKERS_ON_CPUS) for n in by_node)
    return _Places(sum(cpus), sum(gpus), sum(by_node), most)
