"""Ray for one command: a local one with sensible limits, or a cluster by its address; ended if we started it."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rfe.errors import ConfigError

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
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # Optuna's storage is the state, not Tune's snapshots
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin for one another's end take 10 times as long on shared cores
}
OBJECT_STORE_BYTES = 512 * 2**20
"""Local object store: results pass through it one by one."""
WORKERS_ON_CPUS = 4
"""Most workers on a machine without GPUs, unless more are asked for. Two stacks on a thread each train faster than one
on two threads, but each worker costs memory, and a sampler learns less with more trials open."""
KNOCK_S = 10.0
"""How long a cluster's port may take to answer."""
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

    def resources_per_worker(self) -> dict[str, float]:
        """What Ray reserves for a worker."""
        gpus = {"GPU": self.gpus_per_worker} if self.gpus_per_worker else {}
        return {"CPU": float(self.threads_per_worker), **gpus}

    def describe(self) -> str:
        """A worker's resources in words: `2 CPU + 1 GPU`."""
        return " + ".join(f"{amount:g} {name}" for name, amount in self.resources_per_worker().items())


@contextmanager
def open_session(address: str | None = None, workers: int | None = None, **init: Any) -> Iterator[Session]:
    """Start a local Ray, or connect to the cluster at `address` (or `RAY_ADDRESS`); end what was started.

    A Ray this process is connected to already is used and left as it is.

    Args:
        address: a cluster's address; None and no `RAY_ADDRESS`: local.
        workers: how many are wanted; None: one per GPU, without GPUs up to four per node.
        init: further arguments of `ray.init`.

    Raises:
        ConfigError: the address does not answer, or the cluster has no room for a single worker.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers {workers}: at least 1 worker is needed")
    address = address or os.environ.get("RAY_ADDRESS") or None
    import ray

    # Ray's own log lines are for those who debug it: its log folder keeps them
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    connected = ray.is_initialized()
    if not connected:
        _connect(address, workers, init)
    try:
        here = ray.get_runtime_context().get_node_id()
        yield plan_session(ray.nodes(), workers, local=address is None and not connected, here=here)
    finally:
        if not connected:
            ray.shutdown()


def _connect(address: str | None, workers: int | None, init: dict[str, Any]) -> None:
    import ray

    common: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False, "configure_logging": False}
    if address is not None:
        _knock(address)
        try:
            ray.init(address=address, **common, **init)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"no Ray cluster at {address!r} ({error}); start one with `ray start --head`, set "
                "RAY_AUTH_MODE and token of one that has them, or leave --address out"
            ) from error
        return
    # One CPU more than there are: the light Tune trials must find room beside workers that take all
    cpus = max(available_cpus(), workers or 1) + 1
    local = {"num_cpus": cpus, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False} | init
    ray.init(address="local", **common, **local)


def _knock(address: str) -> None:
    """Ray itself looks for a cluster that is not there for over a minute, and then ends the process."""
    if address.startswith(("http://", "https://")):
        raise ConfigError(
            f"--address {address}: is a dashboard, which takes jobs: use `rfe submit --address {address} -- "
            "search ...`, or name the cluster itself, HOST:6379"
        )
    host, colon, port = address.rpartition(":")
    if colon and "://" not in address and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"no Ray cluster at {address!r} ({error}); start one with `ray start --head`, or leave --address out"
            ) from error


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
    alive = [node for node in nodes if node["Alive"]]
    gpus = [int(node["Resources"].get("GPU", 0)) for node in alive]
    if local:
        n = workers or sum(gpus) or min(available_cpus(), WORKERS_ON_CPUS)
        return Session(True, n, min(1.0, sum(gpus) / n), max(1, available_cpus() // n))
    cpus = [int(node["Resources"].get("CPU", 0)) - (node["NodeID"] == here) for node in alive]

    def room(threads: int) -> int:
        by_cpu = [free // threads for free in cpus]
        return sum(map(min, by_cpu, gpus) if sum(gpus) else by_cpu)

    if room(1) < 1:
        raise ConfigError(
            f"the Ray cluster has no room: {sum(cpus)} CPUs and {sum(gpus)} GPUs beside the one CPU that the search "
            "itself needs; start a node with more, or leave --address out"
        )
    n = min(workers or (room(1) if sum(gpus) else sum(min(max(free, 0), WORKERS_ON_CPUS) for free in cpus)), room(1))
    threads = max(threads for threads in range(1, max(cpus) + 1) if room(threads) >= n)
    note = "" if workers is None or n == workers else f"{workers} workers asked for, the cluster has room for {n}"
    return Session(False, n, 1.0 if sum(gpus) else 0.0, threads, note)


def available_cpus() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
