"""A worker: takes items from the queue, trains them as one stack, hands results back, until told to stop.

It runs as the training loop of Ray Train and asks `ray.train` for nothing but its own place in the group: a
`ray.train.report` would make every worker wait for all others.
"""

import logging
import os
import socket
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
from rfe.search.work import Assignment, Report, WorkItem, over_time, study_of
from rfe.training.record import Checkpoint, EpochReport, Stop, TrialResult
from rfe.workspace import node_cache

log = logging.getLogger(__name__)

SAVING_SHARE = 20
"""Between two saves lies at least so many times what the first one took."""
CPU_PART = 0.7
"""Part of a node's free memory that its workers' stacks are packed into; the kernel kills a process that takes more."""
GPU_PART = 0.85
"""Part of a GPU's free memory that stacks are packed into; estimates of what they need are estimates."""


OnEpochEnd = Callable[[Mapping[str, EpochReport]], Mapping[str, Stop]]
"""Told after an epoch where each item of the stack stands; answers with those to end, and why."""
Deliver = Callable[[str, TrialResult], None]
"""Takes an item's key and result as soon as the item ends."""


class TrainStack(Protocol):
    """Trains items of one shape together, delivers each one's result, calls `on_epoch_end` after every epoch."""

    def __call__(
        self,
        items: Sequence[WorkItem],
        settings: "WorkerSettings",
        device: str,
        on_epoch_end: OnEpochEnd,
        deliver: Deliver,
    ) -> None: ...


@dataclass(frozen=True)
class WorkerSettings:
    """Settings that a worker receives when it starts."""

    queue: str
    """Name of the queue's actor."""
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
    """How often a stack's items are saved: what a lost worker costs. Less often where saving takes long."""
    poll_s: float = 0.05
    """Pause after finding nothing to do, unless the queue asks for a longer one."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables of a job that Ray neither shows nor logs."""


class WorkQueueSide(Protocol):
    """What a worker needs of the queue."""

    def register(self, worker: str, slot: str, node: str = "") -> None: ...
    def fail_start(self, worker: str, reason: str) -> bool: ...
    def take(self, worker: str, memory_bytes: float, n: int) -> Assignment: ...
    def heartbeat(
        self, worker: str, epochs: Mapping[str, int], scores: Mapping[str, float] | None = None
    ) -> Assignment: ...
    def report(self, worker: str, reports: Sequence[Report]) -> Assignment: ...
    def save(self, worker: str, checkpoints: Mapping[str, Checkpoint]) -> None: ...
    def finish(self, worker: str, key: str, result: TrialResult) -> None: ...
    def return_stack(self, worker: str, keys: Sequence[str], reason: str) -> None: ...
    def lose(self, worker: str, reason: str) -> None: ...


def work(config: dict[str, Any]) -> None:
    """The loop that Ray Train runs on each worker."""
    import ray
    import ray.train

    from rfe.search.work_queue_actor import find_queue

    settings: WorkerSettings = config["settings"]
    os.environ.update(settings.secrets)
    memory_bytes = stack_memory(settings.memory_bytes, ray.train.get_context().get_local_world_size())
    settings = replace(settings, cache=node_cache(settings.cache), memory_bytes=memory_bytes)
    slot = f"{config['group']}-{ray.train.get_context().get_world_rank()}"
    serve(find_queue(settings.queue), slot, settings, ray.get_runtime_context().get_node_id())


def stack_memory(most: float, n_workers: int) -> float:
    """Bytes that a stack on this node may use: at most `most`, and a share of the free memory for `n_workers`."""
    free = free_memory()
    return most if free is None else min(most, CPU_PART * free / n_workers)


def serve(queue: WorkQueueSide, slot: str, settings: WorkerSettings, node: str = "") -> None:
    """Take and train until the queue says stop. An exception ends its stack, not the worker, unless it leaves
    the GPU unusable."""
    name = f"{slot}-{uuid4().hex[:8]}@{socket.gethostname()}"
    queue.register(name, slot, node)
    try:
        train = _load_function(settings.train)
        device, memory_bytes = _find_device(settings)
    except Exception as error:
        if queue.fail_start(name, describe_error(error)):
            return
        raise
    with HeartbeatReporter(queue, name, settings) as reporter:
        while True:
            assignment = queue.take(name, memory_bytes - _occupied_bytes(device), settings.stack)
            if assignment.stop:
                return
            if assignment.items:
                _train_items(queue, name, assignment, settings, device, reporter, train)
            else:
                time.sleep(max(settings.poll_s, assignment.pause_s))


def _train_items(
    queue: WorkQueueSide,
    name: str,
    assignment: Assignment,
    settings: WorkerSettings,
    device: str,
    reporter: "HeartbeatReporter",
    train: TrainStack,
) -> None:
    """Train what was leased; results go to the queue one by one, what an error left goes back."""
    kept = {item.key for item in assignment.items if item.keep_weights or item.rest}
    left = [item.key for item in assignment.items]

    def deliver(key: str, result: TrialResult) -> None:
        left.remove(key)
        if key not in reporter.dropped:
            wanted = key in kept or result.score >= reporter.assignment.weight_thresholds.get(study_of(key), -inf)
            queue.finish(name, key, result if wanted else replace(result, weights=None))

    reporter.begin(assignment)
    try:
        train(assignment.items, settings, device, reporter.on_epoch_end, deliver)
    except Exception as error:
        log.exception("a stack of %d raised an error", len(assignment.items))
        if not is_usable(device):
            queue.lose(name, describe_error(error))
            os._exit(1)
        queue.return_stack(name, left, describe_error(error))
    finally:
        reporter.rest()


class HeartbeatReporter:
    """Reports in the background that the worker is alive, and its progress."""

    def __init__(self, queue: WorkQueueSide, name: str, settings: WorkerSettings) -> None:
        self._queue, self._name = queue, name
        self._interval_s, self._checkpoint_s = settings.heartbeat_s, settings.checkpoint_s
        self._pause_s = self._interval_s
        self._next_save = 0.0
        self._epochs: Mapping[str, int] = {}
        self._scores: dict[str, float] = {}
        self._items: dict[str, WorkItem] = {}
        self._began = 0.0
        self._end = threading.Event()
        self._lock = threading.Lock()
        """Guards `assignment`, which belong to a stack."""
        self.assignment = Assignment()
        self.dropped: set[str] = set()
        """Keys of items that the stack ended because they were cancelled."""
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> "HeartbeatReporter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()

    def begin(self, assignment: Assignment) -> None:
        """A stack starts."""
        self._began = time.monotonic()
        self._next_save = self._began + self._checkpoint_s
        with self._lock:
            self.assignment = assignment
            self._items = {item.key: item for item in assignment.items}
        self._epochs = {item.key: 0 for item in assignment.items}
        self._scores = {}
        self.dropped = set()

    def on_epoch_end(self, reports: Mapping[str, EpochReport]) -> dict[str, Stop]:
        """An epoch ended: which items are to end now, by order, by comparison, or for being over their time."""
        self._epochs = {key: report.epoch for key, report in reports.items()}
        scores = {key: report.score for key, report in reports.items() if report.score is not None}
        self._scores = {key: score for key, score in (self._scores | scores).items() if key in reports}
        self._compare(reports)
        share_s = (time.monotonic() - self._began) / max(1, len(self._items))
        ends = {}
        leaves = self.assignment.stop or self.assignment.give_back
        unwanted = {key for key in reports if leaves or key in self.assignment.dropped}
        for key in reports:
            limit_s = self._items[key].limit_s
            if key in unwanted:
                self.dropped.add(key)
                ends[key] = Stop("failed", "cancelled: no longer requested")
            elif key in self.assignment.pruned:
                ends[key] = Stop("pruned", self.assignment.pruned[key])
            elif limit_s is not None and share_s > limit_s:
                ends[key] = Stop("failed", over_time(limit_s))
        # a later run can resume what was cancelled
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
            self.assignment = self._queue.report(self._name, scores)
        elif self.assignment.undecided:
            self.assignment = self._queue.heartbeat(self._name, self._epochs, self._scores)

    def _save(self, reports: Mapping[str, EpochReport]) -> float:
        """Have the queue keep where these are; returns the seconds it took."""
        began = time.monotonic()
        states = {key: report.checkpoint() for key, report in reports.items() if report.checkpoint is not None}
        self._queue.save(self._name, states)
        return time.monotonic() - began

    def rest(self) -> None:
        """The stack ended."""
        self._epochs, self._scores = {}, {}

    def _beat(self) -> None:
        while not self._end.wait(self._pause_s):
            items = self._items
            try:
                assignment = self._queue.heartbeat(self._name, self._epochs, self._scores)
            except Exception:
                if self._end.is_set():
                    return
                # Without the queue this worker's results are lost; a new process looks for the queue again
                os._exit(1)
            if assignment.leave:
                os._exit(1)
            self._pause_s = max(self._interval_s, assignment.pause_s)
            with self._lock:
                if items is self._items:  # else they are of a stack that ended meanwhile
                    self.assignment = assignment


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
        if settings.device_share < 1:  # a worker that takes more runs out of memory itself, not its neighbour
            torch.cuda.set_per_process_memory_fraction(settings.device_share)
        return "cuda", GPU_PART * min(free, settings.device_share * total)
    return "cpu", settings.memory_bytes


def _occupied_bytes(device: str) -> int:
    """What stays on a GPU between two stacks: features."""
    import torch

    return torch.cuda.memory_allocated() if device == "cuda" else 0
