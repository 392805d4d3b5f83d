"""A cluster of several raylets, an MLflow server and a search on them, all of which can be killed at seeded moments.

As a program it is the search: STUDY TRIALS SAMPLER PRUNER DATA WORKSPACE CACHE ADDRESS.
"""

import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from rfe.journal.records import read_records
from rfe.search.work import WorkItem
from rfe.search.work_queue import LEASE_S
from rfe.search.worker import Deliver, OnEpochEnd, WorkerSettings
from rfe.training.record import TrialResult
from rfe.workspace import Workspace
from tests.integration.ports import free_port

TRAIN = "tests.integration.chaos:train_stack"
KINDS = ("worker", "raylet", "driver", "mlflow")
MLFLOW_AWAY_S = 20.0
FROZEN_S = LEASE_S + 15.0
"""A worker that stands still for so long has lost its leases when it goes on."""
HEAD_LOST_S = 300.0
"""Ray tries for a minute to reach its head node again before it ends a driver."""
MLFLOW_START_S = 300.0
"""It starts while everything else is busy."""
EPOCHS = 30


def train_stack(
    items: Sequence[WorkItem], settings: WorkerSettings, device: str, on_epoch_end: OnEpochEnd, deliver: Deliver
) -> None:
    """Real training that also leaves each trial's out-of-fold probabilities, unrounded, in the cache folder."""
    from rfe.search import stack_training

    def keep(key: str, result: TrialResult) -> None:
        if result.state == "complete":
            np.save(settings.cache / f"{key.replace('/', '-')}.npy", result.fused)
        deliver(key, result)

    stack_training.train_stack(items, settings, device, on_epoch_end, keep)


@dataclass
class Chaos:
    """See the module; use `open_chaos`.

    Args:
        data: a data folder.
        root: for everything the run leaves behind.
        seed: of the moments and of what is killed.
    """

    data: Path
    root: Path
    seed: int
    events: list[str] = field(default_factory=list)
    """What happened, in order."""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.root.mkdir(parents=True)
        (self.root / "cache").mkdir()
        self.mlflow_port = free_port()
        self.workspace = Workspace(self.root / "workspace", f"http://127.0.0.1:{self.mlflow_port}", self.root / "cache")
        self._start_cluster()
        self.mlflow = self._start_mlflow()
        self.driver: subprocess.Popen[bytes] | None = None

    def _start_cluster(self) -> None:
        from ray.cluster_utils import Cluster

        quick = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000}
        head = {"num_cpus": 2, "object_store_memory": 200 * 2**20, "include_dashboard": False}
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={**head, "_system_config": {**quick, "health_check_failure_threshold": 2}},
        )
        self.nodes = [self._add_node(), self._add_node()]

    def _add_node(self) -> Any:
        return self.cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)

    def _start_mlflow(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.mlflow_port)]
        store = ["--backend-store-uri", f"sqlite:///{self.root}/mlflow.db", "--artifacts-destination"]
        with (self.root / "mlflow.log").open("ab") as log:
            server = subprocess.Popen(
                [*command, *store, str(self.root / "artifacts"), "--workers", "1"],
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + MLFLOW_START_S
        while time.monotonic() < deadline and server.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.workspace.mlflow_uri}/health", timeout=2):
                return server
            time.sleep(0.3)
        raise TimeoutError(f"the MLflow server did not start: {(self.root / 'mlflow.log').read_text()}")

    def search(self, study: str, trials: int, sampler: str, pruner: str, kinds: Sequence[str] = ()) -> int:
        """Run the search to its end; returns the driver's exit code.

        Meanwhile each of `kinds` happens, in any order: one of `KINDS`, `join` (another node), `freeze` (a worker
        stands still and returns), `slow mlflow` (so does the server) or `head` (the head node dies, and a new cluster
        takes its place).
        """
        kinds = self.rng.sample(kinds, len(kinds))
        moments = sorted(self.rng.sample(range(2, trials * 2 // 3), len(kinds)))
        command = [sys.executable, "-m", "tests.integration.chaos", study, str(trials), sampler, pruner]
        command += [str(self.data), str(self.workspace.root), str(self.workspace.cache)]
        environment = {**os.environ, "MLFLOW_TRACKING_URI": self.workspace.mlflow_uri, "OMP_NUM_THREADS": "1"}

        def start() -> subprocess.Popen[bytes]:
            with (self.root / "driver.log").open("ab") as log:
                return subprocess.Popen([*command, self.cluster.address], env=environment, stdout=log, stderr=log)

        self.driver = start()
        for kind, moment in zip(kinds, moments, strict=True):
            self._await_trials(study, moment)
            self._happen(kind)
            self.events.append(f"{kind} after {moment} trials")
            if kind in ("driver", "head"):
                self.driver = start()
        return self.driver.wait(timeout=900)

    def _await_trials(self, study: str, n: int) -> None:
        journal = self.workspace.study(study).journal
        deadline = time.monotonic() + 600
        while not journal.exists() or sum(record.kind == "trial" for record in read_records(journal)) < n:
            assert self.driver is not None
            assert self.driver.poll() is None, f"the search ended early: {(self.root / 'driver.log').read_text()}"
            assert time.monotonic() < deadline, f"no {n} trials in 10 minutes"
            time.sleep(0.1)

    def _happen(self, kind: str) -> None:
        if kind == "join":
            self.nodes.append(self._add_node())
        elif kind == "worker":
            workers = self._workers()
            if workers:
                self.rng.choice(sorted(workers, key=lambda one: one.pid)).kill()
        elif kind == "raylet":
            node = self.nodes.pop(self.rng.randrange(len(self.nodes)))
            self.cluster.remove_node(node, allow_graceful=False)
            self.nodes.append(self._add_node())
        elif kind == "freeze":
            workers = self._workers()
            if workers:
                _freeze(self.rng.choice(sorted(workers, key=lambda one: one.pid)).pid, FROZEN_S)
        elif kind == "slow mlflow":
            _freeze(self.mlflow.pid, MLFLOW_AWAY_S)
        elif kind == "driver":
            assert self.driver is not None
            self.driver.kill()
            self.driver.wait()
        elif kind == "head":
            assert self.driver is not None
            self.cluster.remove_node(self.cluster.head_node, allow_graceful=False)
            assert self.driver.wait(HEAD_LOST_S) != 0, "the head node was lost, and the search says that all is well"
            self.cluster.shutdown()
            self._start_cluster()
        else:
            os.killpg(self.mlflow.pid, signal.SIGKILL)
            self.mlflow.wait()
            time.sleep(MLFLOW_AWAY_S)
            self.mlflow = self._start_mlflow()

    def _workers(self) -> list[psutil.Process]:
        """The cluster's Ray Train workers, by their processes' titles."""
        raylets = [info.process.pid for node in self.cluster.list_all_nodes() for info in node.all_processes["raylet"]]
        found = []
        for raylet in raylets:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(raylet).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        if "TrainWorker" in " ".join(child.cmdline()):
                            found.append(child)
        return found

    def close(self) -> None:
        """End everything that was started."""
        if self.driver is not None and self.driver.poll() is None:
            self.driver.kill()
            self.driver.wait()
        self.cluster.shutdown()
        with suppress(ProcessLookupError):
            os.killpg(self.mlflow.pid, signal.SIGKILL)
        self.mlflow.wait()


def _freeze(pid: int, seconds: float) -> None:
    """Have a process and its children stand still for a while."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        frozen = [process, *process.children(recursive=True)]
        for one in frozen:
            one.suspend()
        time.sleep(seconds)
        for one in frozen:
            with suppress(psutil.NoSuchProcess):
                one.resume()


@contextmanager
def open_chaos(data: Path, root: Path, seed: int) -> Iterator[Chaos]:
    """Everything runs within the block."""
    chaos = Chaos(data, root, seed)
    try:
        yield chaos
    finally:
        chaos.close()


def main(arguments: list[str]) -> None:
    from rfe.progress import open_progress
    from rfe.search.driver import run_search
    from rfe.search.options import RunOptions
    from rfe.search_space import load_space
    from rfe.tracking.mlflow_tracker import MlflowTracker
    from tests.integration.fakes import train_with

    study, trials, sampler, pruner, data, root, cache, address = arguments
    settings: dict[str, Any] = {"kind": pruner, **({"min_epochs": EPOCHS // 9} if pruner == "asha" else {})}
    space = load_space(
        {
            "study": study,
            "base": {"train.epochs": EPOCHS, "model.latent_dim": 16, "train.batch_size": 32},
            "space": {
                "pool": {"subset": "all"},
                "train.lr": {"float": [1.0e-4, 1.0e-2], "log": True},
                "model.dropout": {"float": [0.0, 0.5]},
            },
            "sampler": {"kind": sampler},
            "pruner": settings,
            "budget": {"trials": int(trials)},
            "confirm": {"top": 0},
            # every kill may hit a trial, whatever its luck
            "limits": {"retries": 20},
        }
    )
    workspace = Workspace(Path(root), os.environ["MLFLOW_TRACKING_URI"], Path(cache))
    tracker = MlflowTracker(workspace, workspace.study(study), print)
    train_with(TRAIN, stack=2)
    options = RunOptions(workers=4, address=address)  # one more than there is room for at first
    try:
        run_search(space, Path(data), workspace, options, tracker=tracker, progress=open_progress(quiet=False))
    finally:
        print(tracker.close(600))


if __name__ == "__main__":
    main(sys.argv[1:])
