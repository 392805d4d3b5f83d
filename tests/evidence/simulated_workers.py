"""Workers without processes of their own: threads in a few client processes, each the real loop of a worker.

`serve` and its heartbeats run as on a cluster; only training is a stand-in, which sleeps for as long as a trial takes.
"""

import json
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from rfe.config.schema import Config
from rfe.data.dataset import Dataset, load_dataset
from rfe.search.fleet import Fleet
from rfe.search.work import WorkItem
from rfe.search.worker import Deliver, OnEpochEnd, WorkerSettings, serve
from rfe.training.record import EpochReport
from tests.integration.fakes import fake_result

PER_PROCESS = 250
SPREAD = 0.2
"""A trial takes so much less, or more, than the mean, by its configuration."""
EPOCHS = 10


@dataclass
class ClientGroup:
    """Stands in for `WorkerGroup`: client processes in the place of a Ray Train run."""

    n_workers: int
    name: str = "clients"
    reason: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return bool(self.processes) and all(one.poll() is not None for one in self.processes)

    def start(self, fleet: Fleet, address: str, trial_s: float, books: Path) -> None:
        """Start the clients; returns at once. Each process writes its leases to a file in `books`."""
        for first in range(0, self.n_workers, PER_PROCESS):
            n = min(PER_PROCESS, self.n_workers - first)
            told = {"queue": fleet.settings.queue, "cache": str(fleet.settings.cache), "stack": fleet.stack}
            told |= {"address": address, "first": first, "n": n, "trial_s": trial_s, "books": str(books)}
            self.processes.append(subprocess.Popen([sys.executable, "-m", __name__, json.dumps(told)]))

    def join(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        for one in self.processes:
            try:
                one.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.kill()
        return True


def trial_seconds(item: WorkItem, mean_s: float) -> float:
    """How long the trial takes: the same for the same configuration."""
    part = zlib.crc32(repr(item.config["train"]["lr"]).encode()) / 2**32
    return mean_s * (1 - SPREAD + 2 * SPREAD * part)


def run_clients(
    address: str, queue: str, cache: str, stack: int, first: int, n: int, trial_s: float, books: str
) -> None:
    """Serve as `n` workers until the queue says stop; then write when each lease began and ended."""
    import ray

    from rfe.search.work_queue_actor import find_queue

    ray.init(address=address, logging_level="critical", log_to_driver=False)
    leases: list[tuple[float, float, int]] = []
    handle = find_queue(queue)
    settings = WorkerSettings(queue, Path(cache), stack, train="tests.evidence.simulated_workers:train_for_books")
    import tests.evidence.simulated_workers as shared  # which is not this module where that is the program

    shared.LEASES, shared.TRIAL_S = leases, trial_s
    threads = [
        threading.Thread(target=serve, args=(handle, f"clients-{rank}", settings), name=f"worker-{rank}")
        for rank in range(first, first + n)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (Path(books) / f"{first}.json").write_text(json.dumps(leases))


LEASES: list[tuple[float, float, int]] = []
"""Of this process: when a stack was taken, when it ended, its size."""
TRIAL_S = 30.0


def train_for_books(
    items: Sequence[WorkItem], settings: WorkerSettings, device: str, on_epoch_end: OnEpochEnd, deliver: Deliver
) -> None:
    """A `TrainStack` that sleeps and keeps book."""
    began, wall = time.monotonic(), time.time()
    seconds = max(trial_seconds(item, TRIAL_S) for item in items)
    running = {item.key: item for item in items}
    for epoch in range(1, EPOCHS + 1):
        time.sleep(max(0.0, began + seconds * epoch / EPOCHS - time.monotonic()))
        for key in on_epoch_end({key: EpochReport(epoch, EPOCHS) for key in running}):
            del running[key]  # cancelled: its result is not wanted
        if not running:
            break
    ended = wall + time.monotonic() - began
    LEASES.append((wall, ended, len(items)))
    dataset = _open(items[0].data)
    for key, item in running.items():
        deliver(key, replace(fake_result(Config.model_validate(item.config), dataset), seconds=seconds))


@cache
def _open(data: str) -> Dataset:
    return load_dataset(Path(data))


if __name__ == "__main__":
    run_clients(**json.loads(sys.argv[1]))
