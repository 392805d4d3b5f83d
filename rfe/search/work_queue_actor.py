"""The queue as a named Ray actor on the driver's node, and the handle by which everyone else speaks to it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rfe.search.work import Assignment, Report, Updates, WorkItem, WorkQueueStatus
from rfe.search.work_queue import LEASE_S, WorkQueue
from rfe.training.record import Checkpoint, TrialResult

NAMESPACE = "rfe"
ANSWER_S = 120.0
"""Longest wait for an answer of the queue; it computes nothing, so only a lost node takes so long."""


class WorkQueueActor:
    """`WorkQueue` with two calls that wait; one event loop runs all calls, so none needs a lock."""

    def __init__(self, lease_s: float) -> None:
        self._queue = WorkQueue(lease_s)
        self._waits: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        """What calls wait for. Only those whose wait is over are woken: waking all of them was most of a call's cost.
        """

    async def call(self, method: str, *args: Any) -> Any:
        """Call a method of the queue."""
        result = getattr(self._queue, method)(*args)
        for reached, woken in self._waits:
            if not woken.done() and reached():
                woken.set_result(None)
        return result

    async def collect(self, study: str, timeout_s: float) -> Updates:
        """Wait until something of the study happened, at most `timeout_s`; return what did."""
        await self._wait(lambda: self._queue.has_news(study), timeout_s)
        return self._queue.collect(study)

    async def wait_cohort(self, cohort: str, timeout_s: float) -> bool:
        """Wait until the cohort ended, at most `timeout_s`; False while it is open."""
        return await self._wait(lambda: not self._queue.is_open(cohort), timeout_s)

    async def _wait(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        if reached():
            return True
        wait = (reached, asyncio.get_running_loop().create_future())
        self._waits.append(wait)
        try:
            await asyncio.wait_for(wait[1], timeout_s)
        except TimeoutError:
            return False
        finally:
            self._waits.remove(wait)
        return True


@dataclass(frozen=True)
class WorkQueueHandle:
    """The queue from another process: the methods of `WorkQueue`, each one call to the actor. Can be pickled.

    All raise `ray.exceptions.RayError` when the queue is gone.
    """

    actor: Any

    def offer(self, cohort: str, items: Sequence[WorkItem]) -> None:
        self._call("offer", cohort, list(items))

    def wait_cohort(self, cohort: str, timeout_s: float) -> bool:
        return bool(ray.get(self.actor.wait_cohort.remote(cohort, timeout_s), timeout=timeout_s + ANSWER_S))

    def collect(self, study: str, timeout_s: float) -> Updates:
        updates: Updates = ray.get(self.actor.collect.remote(study, timeout_s), timeout=timeout_s + ANSWER_S)
        return updates

    def decide(self, verdicts: Mapping[str, str]) -> None:
        self._call("decide", dict(verdicts))

    def prune(self, reasons: Mapping[str, str]) -> None:
        self._call("prune", dict(reasons))

    def retire(self, groups: Sequence[str]) -> None:
        self._call("retire", list(groups))

    def drain(self, nodes: Sequence[str]) -> None:
        self._call("drain", list(nodes))

    def settle(self, keys: Sequence[str], thresholds: Mapping[str, float] | None = None) -> None:
        self._call("settle", list(keys), dict(thresholds or {}))

    def stop(self) -> None:
        self._call("stop")

    def cancel(self, run: str) -> None:
        self._call("cancel", run)

    def status(self) -> WorkQueueStatus:
        status: WorkQueueStatus = self._call("status")
        return status

    def register(self, worker: str, slot: str, node: str = "") -> None:
        self._call("register", worker, slot, node)

    def fail_start(self, worker: str, reason: str) -> bool:
        return bool(self._call("fail_start", worker, reason))

    def take(self, worker: str, memory_bytes: float, n: int) -> Assignment:
        assignment: Assignment = self._call("take", worker, memory_bytes, n)
        return assignment

    def heartbeat(
        self, worker: str, epochs: Mapping[str, int], scores: Mapping[str, float] | None = None
    ) -> Assignment:
        assignment: Assignment = self._call("heartbeat", worker, dict(epochs), dict(scores or {}))
        return assignment

    def report(self, worker: str, reports: Sequence[Report]) -> Assignment:
        assignment: Assignment = self._call("report", worker, list(reports))
        return assignment

    def save(self, worker: str, checkpoints: Mapping[str, Checkpoint]) -> None:
        self._call("save", worker, dict(checkpoints))

    def finish(self, worker: str, key: str, result: TrialResult) -> None:
        self._call("finish", worker, key, result)

    def return_stack(self, worker: str, keys: Sequence[str], reason: str) -> None:
        self._call("return_stack", worker, list(keys), reason)

    def lose(self, worker: str, reason: str) -> None:
        self._call("lose", worker, reason)

    def _call(self, method: str, *args: Any) -> Any:
        return ray.get(self.actor.call.remote(method, *args), timeout=ANSWER_S)


def start_queue(name: str, lease_s: float = LEASE_S) -> WorkQueueHandle:
    """Start the queue on this node, where it lives as long as the driver; does not wait until it is up.

    If its process is lost, Ray restarts it and repeats the calls that were under way. The new one knows nothing:
    cohorts are offered again by the Tune trials that carry them, and workers leave what they no longer hold a lease of.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(WorkQueueActor).options(
        name=name,
        namespace=NAMESPACE,
        num_cpus=0,
        scheduling_strategy=here,
        max_concurrency=1000,
        max_restarts=-1,
        max_task_retries=-1,
    )
    return WorkQueueHandle(actor.remote(lease_s))


def find_queue(name: str) -> WorkQueueHandle:
    """The running queue of that name."""
    return WorkQueueHandle(ray.get_actor(name, NAMESPACE))
