"""A worker: takes items from the pool, trains them as one stack, hands results back, until told to stop.

It runs as the training loop of Ray Train and asks `ray.train` for nothing but its own place in the group: a
`ray.train.report` would make every worker wait for all others.
"""

import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from math import inf
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from rfe.resources import free_memory
from rfe.search.work import Orders, Report, WorkItem, over_time, study_of
from rfe.training.record import Checkpoint, EpochReport, Stop, TrialResult
from rfe.workspace import node_cache

log = logging.getLogger(__name__)

SAVING_SHARE = 20
"""Between two saves lies at least so many times what the first one took."""
CPU_PART = 0.7
"""Part of a node's free memory that its workers' stacks are packed into; the kernel kills a process that takes more."""
GPU_PART = 0.85
"""Part of a GPU's free memory that stacks are packed into; estimates of what they need are estimates."""


Tick = Callable[[Mapping[str, EpochReport]], Mapping[str, Stop]]
"""Told after an epoch where each item of the stack stands; answers with those to end, and why."""
Deliver = Callable[[str, TrialResult], None]
"""Takes an item's key and result as soon as the item ends."""


class TrainStack(Protocol):
    """Trains items of one shape together, delivers each one's result, calls `tick` after every epoch."""

    def __call__(
        self, items: Sequence[WorkItem], settings: "WorkerSettings", device: str, tick: Tick, deliver: Deliver
    ) -> None: ...


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker is told when it starts."""

    pool: str
    """Name of the pool's actor."""
    cache: Path
    """Absolute folder of prepared features, local to the node; a node's own `RFE_CACHE` comes before it."""
    stack: int
    """Most items in one stack."""
    threads: int = 1
    memory_bytes: float = 4 * 2**30
    """Most memory that a stack may need on a CPU; less where the node has less. On a GPU the device's own size counts.
    """
    device_share: float = 1.0
    """Part of a GPU that is this worker's."""
    train: str = "rfe.search.stack_training:train_stack"
    """Dotted path of a `TrainStack`."""
    heartbeat_s: float = 2.0
    checkpoint_s: float = 30.0
    """How often a stack's items are saved to the pool: what a lost worker costs. Less often where saving takes long."""
    poll_s: float = 0.05
    """Pause after finding nothing to do."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables of a job that Ray neither shows nor logs."""


class PoolSide(Protocol):
    """What a worker needs of the pool."""

    def register(self, worker: str, slot: str) -> None: ...
    def fail_start(self, worker: str, reason: str) -> bool: ...
    def take(self, worker: str, memory_bytes: float, n: int) -> Orders: ...
    def heartbeat(self, worker: str, epochs: Mapping[str, int]) -> Orders: ...
    def report(self, worker: str, reports: Sequence[Report]) -> Orders: ...
    def save(self, worker: str, checkpoints: Mapping[str, Checkpoint]) -> None: ...
    def finish(self, worker: str, key: str, result: TrialResult) -> None: ...
    def return_stack(self, worker: str, keys: Sequence[str], reason: str) -> None: ...
    def lose(self, worker: str, reason: str) -> None: ...


def work(config: dict[str, Any]) -> None:
    """The loop that Ray Train runs on each worker."""
    import ray.train

    from rfe.search.pool_actor import find_pool

    settings: WorkerSettings = config["settings"]
    os.environ.update(settings.secrets)
    memory_bytes = stack_memory(settings.memory_bytes, ray.train.get_context().get_local_world_size())
    settings = replace(settings, cache=node_cache(settings.cache), memory_bytes=memory_bytes)
    serve(find_pool(settings.pool), f"{config['group']}-{ray.train.get_context().get_world_rank()}", settings)


def stack_memory(most: float, n_workers: int) -> float:
    """Bytes that a stack on this node may need: at most `most`, and what `n_workers` have of its free memory."""
    free = free_memory()
    return most if free is None else min(most, CPU_PART * free / n_workers)


def serve(pool: PoolSide, slot: str, settings: WorkerSettings) -> None:
    """Take and train until the pool says stop. An exception of a stack ends the stack, not the worker, unless it leaves
    the GPU unusable for its process."""
    name = f"{slot}-{uuid4().hex[:8]}"
    pool.register(name, slot)
    try:
        train = _load_function(settings.train)
        device, memory_bytes = _find_device(settings)
    except Exception as error:
        if pool.fail_start(name, describe_error(error)):
            return
        raise
    with Heart(pool, name, settings) as heart:
        while True:
            orders = pool.take(name, memory_bytes - _occupied_bytes(device), settings.stack)
            if orders.stop:
                return
            if orders.items:
                _train_items(pool, name, orders, settings, device, heart, train)
            else:
                time.sleep(settings.poll_s)


def _train_items(
    pool: PoolSide,
    name: str,
    orders: Orders,
    settings: WorkerSettings,
    device: str,
    heart: "Heart",
    train: TrainStack,
) -> None:
    """Train what was leased; results go to the pool one by one, what an error left goes back."""
    kept = {item.key for item in orders.items if item.keep_weights or item.rest}
    left = [item.key for item in orders.items]

    def deliver(key: str, result: TrialResult) -> None:
        left.remove(key)
        if key not in heart.dropped:
            wanted = key in kept or result.score >= heart.orders.bars.get(study_of(key), -inf)
            pool.finish(name, key, result if wanted else replace(result, weights=None))

    heart.begin(orders)
    try:
        train(orders.items, settings, device, heart.tick, deliver)
    except Exception as error:
        log.exception("a stack of %d raised an error", len(orders.items))
        if not is_usable(device):
            pool.lose(name, describe_error(error))
            os._exit(1)
        pool.return_stack(name, left, describe_error(error))
    finally:
        heart.rest()


class Heart:
    """Tells the pool in the background that the worker lives and how far it is."""

    def __init__(self, pool: PoolSide, name: str, settings: WorkerSettings) -> None:
        self._pool, self._name = pool, name
        self._interval_s, self._checkpoint_s = settings.heartbeat_s, settings.checkpoint_s
        self._next_save = 0.0
        self._epochs: Mapping[str, int] = {}
        self._items: dict[str, WorkItem] = {}
        self._began = 0.0
        self._end = threading.Event()
        self._lock = threading.Lock()
        """Guards `orders`, which belong to a stack."""
        self.orders = Orders()
        self.dropped: set[str] = set()
        """Keys that the stack was told to end because nobody waits for them any more."""
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> "Heart":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()

    def begin(self, orders: Orders) -> None:
        """A stack starts."""
        self._began = time.monotonic()
        self._next_save = self._began + self._checkpoint_s
        with self._lock:
            self.orders = orders
            self._items = {item.key: item for item in orders.items}
        self._epochs = {item.key: 0 for item in orders.items}
        self.dropped = set()

    def tick(self, reports: Mapping[str, EpochReport]) -> dict[str, Stop]:
        """An epoch ended: which items are to end now, by order, by comparison, or for being over their time."""
        self._epochs = {key: report.epoch for key, report in reports.items()}
        self._compare(reports)
        share_s = (time.monotonic() - self._began) / max(1, len(self._items))
        ends = {}
        unwanted = {key for key in reports if self.orders.stop or key in self.orders.dropped}
        for key in reports:
            limit_s = self._items[key].limit_s
            if key in unwanted:
                self.dropped.add(key)
                ends[key] = Stop("failed", "nobody waits for it any more")
            elif key in self.orders.pruned:
                ends[key] = Stop("pruned", self.orders.pruned[key])
            elif limit_s is not None and share_s > limit_s:
                ends[key] = Stop("failed", over_time(limit_s))
        # what nobody waits for now may be gone on with by a later command
        due = time.monotonic() >= self._next_save
        kept = {key: one for key, one in reports.items() if key in unwanted or (due and key not in ends)}
        if kept:
            took_s = self._save(kept)
            if due:
                self._next_save = time.monotonic() + max(self._checkpoint_s, SAVING_SHARE * took_s)
        return ends

    def _compare(self, reports: Mapping[str, EpochReport]) -> None:
        """Report new scores. Training goes on meanwhile; the answer is asked for after each epoch until it is there."""
        scores = [
            Report(key, report.epoch, report.score)
            for key, report in reports.items()
            if self._items[key].compared and report.score is not None
        ]
        if scores:
            self.orders = self._pool.report(self._name, scores)
        elif self.orders.undecided:
            self.orders = self._pool.heartbeat(self._name, self._epochs)

    def _save(self, reports: Mapping[str, EpochReport]) -> float:
        """Have the pool keep where these are; returns the seconds it took."""
        began = time.monotonic()
        states = {key: report.checkpoint() for key, report in reports.items() if report.checkpoint is not None}
        self._pool.save(self._name, states)
        return time.monotonic() - began

    def rest(self) -> None:
        """The stack ended."""
        self._epochs = {}

    def _beat(self) -> None:
        while not self._end.wait(self._interval_s):
            items = self._items
            try:
                orders = self._pool.heartbeat(self._name, self._epochs)
            except Exception:
                if self._end.is_set():
                    return
                # Without a pool nobody hears of this worker's results; a new process looks for it afresh
                os._exit(1)
            if orders.leave:
                os._exit(1)
            with self._lock:
                if items is self._items:  # else they are of a stack that ended meanwhile
                    self.orders = orders


def describe_error(error: BaseException) -> str:
    """The error in a line, with the place it came from: `ValueError: ... (engine.py:120)`."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}{': ' * bool(text)}{text}{place}"


def is_usable(device: str) -> bool:
    """Whether the device still computes for this process; after some errors a GPU raises the same at every call."""
    import torch

    if device == "cpu":
        return True
    try:
        torch.cuda.synchronize()
        return torch.ones(1, device=device).sum().item() == 1.0
    except RuntimeError as error:
        return "out of memory" in str(error)


def _load_function(path: str) -> TrainStack:
    module, _, name = path.partition(":")
    function: TrainStack = getattr(import_module(module), name)
    return function


def _find_device(settings: WorkerSettings) -> tuple[str, float]:
    """The worker's device, and the memory that features and a stack may need on it."""
    import torch

    torch.set_num_threads(settings.threads)
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        if settings.device_share < 1:  # who takes more runs out of memory himself, and not his neighbour
            torch.cuda.set_per_process_memory_fraction(settings.device_share)
        return "cuda", GPU_PART * min(free, settings.device_share * total)
    return "cpu", settings.memory_bytes


def _occupied_bytes(device: str) -> int:
    """What stays on a GPU between two stacks: features."""
    import torch

    return torch.cuda.memory_allocated() if device == "cuda" else 0
