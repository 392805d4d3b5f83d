"""The work queue under whatever workers do: they take, report, finish, die, freeze and return, in any order.

Hypothesis plays sequences of these and looks at the queue after each step. To play more of them than the default suite
does, see `tests/machines.py`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rfe.search.work import Assignment, ItemResult, Report, WorkItem, WorkQueueStatus
from rfe.search.work_queue import HANG_GRACE_S, WorkQueue
from rfe.training.record import FoldPart, TrialResult
from tests.machines import machine_settings

LEASE_S, LIMIT_S = 30.0, 200.0
FOLDS = (0, 1, 2, 3)
PICK = st.integers(0, 99)
"""Chooses among what there is at the moment."""


@dataclass
class WorkerProcess:
    """A worker as it sees itself."""

    name: str
    slot: str
    stack: dict[str, WorkItem] = field(default_factory=dict)
    told: Assignment = field(default_factory=Assignment)


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.queue = WorkQueue(LEASE_S, lambda: self.now)
        self.processes: list[WorkerProcess] = []
        self.under_way: list[tuple[str, str, TrialResult]] = []
        """Results that a worker sent before it died, and that are yet to arrive."""
        self.offered: dict[str, WorkItem] = {}
        """Those that are to end: not those that were cancelled and not offered again."""
        self.cancelled: dict[str, WorkItem] = {}
        self.cohorts: dict[str, tuple[str, ...]] = {}
        self.results: dict[str, ItemResult] = {}
        self.scored: list[Report] = []
        self.runs = 0
        self.made = Counter[str]()

    @initialize(pick=PICK)
    def begin(self, pick: int) -> None:
        self.offer(["a", "a", "b"], pick, False)
        self.start(0, 0)
        self.start(0, 1)

    # ---- the driver

    @rule(shapes=st.lists(st.sampled_from("ab"), min_size=1, max_size=4), pick=PICK, ahead=st.booleans())
    def offer(self, shapes: list[str], pick: int, ahead: bool) -> None:
        items = []
        for shape in shapes:
            number = self.made["item"]
            self.made["item"] += 1
            options: dict[str, Any] = {"retries": (pick + number) % 3, "ahead": ahead}
            if pick % 2:
                options |= {"part": FoldPart(FOLDS[:2]), "rest": FOLDS[2:], "compared": True}
            if pick % 5 == 0:
                options["limit_s"] = LIMIT_S
            items.append(WorkItem(f"s/{number}", {}, "/data", shape=shape, memory_bytes=1 + number % 3, **options))
        self._offer(items)

    @precondition(lambda self: self.cohorts)
    @rule(pick=PICK)
    def offer_a_cohort_again(self, pick: int) -> None:
        """The driver of a job that was started again."""
        name = self._one(list(self.cohorts), pick)
        self.queue.offer(name, [self.offered.get(key) or WorkItem(key, {}, "/data") for key in self.cohorts[name]])

    @precondition(lambda self: self.cancelled)
    @rule()
    def resume_what_was_cancelled(self) -> None:
        items, self.cancelled = list(self.cancelled.values()), {}
        self._offer(items)

    @rule()
    def cancel(self) -> None:
        self.queue.cancel(f"run{self.runs}")
        self.collect()  # what ended before has ended
        self.cancelled |= self._open()
        self.offered = {key: item for key, item in self.offered.items() if key in self.results}
        assert not any(self.queue.is_open(name) for name in self.cohorts)
        self.cohorts.clear()
        self.runs += 1

    @rule()
    def collect(self) -> None:
        news = self.queue.collect("s")
        for one in news.results:
            assert one.key in self.offered, f"{one.key} ended although it was cancelled"
            assert one.key not in self.results, f"{one.key} ended twice"
            self.results[one.key] = one
            self._check_result(one)
        self.scored += news.reports

    @precondition(lambda self: self.scored)
    @rule(prunes=st.booleans())
    def decide(self, prunes: bool) -> None:
        self.queue.decide({one.key: "compares badly" if prunes else "" for one in self.scored})
        self.scored.clear()

    @rule(pick=PICK)
    def prune(self, pick: int) -> None:
        if self.offered:
            self.queue.prune({self._one(list(self.offered), pick): "by a user"})

    @precondition(lambda self: self.results)
    @rule()
    def settle(self) -> None:
        self.queue.settle(list(self.results))
        for name, keys in self.cohorts.items():
            assert self.queue.is_open(name) == (not self.results.keys() >= {*keys}), name

    @rule(group=st.sampled_from(["", "g0", "g1"]))
    def change_the_number_of_workers(self, group: str) -> None:
        self.queue.retire([group] if group else [])

    @rule(node=st.sampled_from(["", "n0", "n1"]))
    def announce_the_end_of_a_node(self, node: str) -> None:
        self.queue.drain([node] if node else [])

    @rule(seconds=st.sampled_from([1.0, LEASE_S / 2, LEASE_S + 1, LIMIT_S + HANG_GRACE_S + 1]))
    def wait(self, seconds: float) -> None:
        """Workers that are not heard of meanwhile are frozen, or behind a network that dropped."""
        self.now += seconds

    # ---- the workers

    @rule(group=st.integers(0, 1), rank=st.integers(0, 1))
    def start(self, group: int, rank: int) -> None:
        """In the place of one that died, or that only seems to have: it goes on."""
        slot = f"g{group}-{rank}"
        process = WorkerProcess(f"w{self.made['worker']}", slot)
        self.made["worker"] += 1
        self.queue.register(process.name, slot, f"n{rank}")
        self.processes.append(process)

    @rule(group=st.integers(0, 1))
    def fail_to_start(self, group: int) -> None:
        self.start(group, 1)
        assert not self.queue.fail_start(self.processes.pop().name, "no GPU")

    @precondition(lambda self: self.processes)
    @rule(pick=PICK, n=st.integers(1, 4))
    def take(self, pick: int, n: int) -> None:
        process = self._one(self.processes, pick)
        if process.stack:
            return
        self._obey(process, self.queue.take(process.name, 6, n))
        process.stack = {item.key: item for item in process.told.items}
        assert len(process.stack) == len(process.told.items) <= n, "an item twice in one stack"
        assert len({item.shape for item in process.told.items}) <= 1
        if process.told.stop:
            self.processes.remove(process)

    @precondition(lambda self: self.processes)
    @rule(pick=PICK)
    def heartbeat(self, pick: int) -> None:
        process = self._one(self.processes, pick)
        self._obey(process, self.queue.heartbeat(process.name, dict.fromkeys(process.stack, 1)))

    @precondition(lambda self: self.processes)
    @rule(pick=PICK, score=st.floats(0, 1, allow_subnormal=False))
    def report(self, pick: int, score: float) -> None:
        process = self._one(self.processes, pick)
        reports = [Report(key, 1, score) for key, item in process.stack.items() if item.compared]
        if reports:
            self._obey(process, self.queue.report(process.name, reports))

    @precondition(lambda self: any(process.stack for process in self.processes))
    @rule(pick=PICK, fails=st.booleans())
    def finish(self, pick: int, fails: bool) -> None:
        process = self._one([process for process in self.processes if process.stack], pick)
        key = self._one(list(process.stack), pick)
        self.queue.finish(process.name, key, self._result(process.stack.pop(key), fails=fails))

    @precondition(lambda self: any(process.stack for process in self.processes))
    @rule(pick=PICK)
    def raise_an_error(self, pick: int) -> None:
        process = self._one([process for process in self.processes if process.stack], pick)
        self.queue.return_stack(process.name, list(process.stack), "OutOfMemoryError")
        process.stack.clear()

    @precondition(lambda self: self.processes)
    @rule(pick=PICK, how=st.sampled_from(["silently", "by an error", "with a result under way"]))
    def die(self, pick: int, how: str) -> None:
        process = self._one(self.processes, pick)
        self.processes.remove(process)
        if how == "by an error":
            self.queue.lose(process.name, "the GPU is unusable")
        elif how == "with a result under way" and process.stack:
            key = self._one(list(process.stack), pick)
            self.under_way.append((process.name, key, self._result(process.stack[key], fails=False)))

    @precondition(lambda self: self.under_way)
    @rule()
    def arrive(self) -> None:
        self.queue.finish(*self.under_way.pop(0))

    # ---- what holds at any moment

    @invariant()
    def the_queue_is_whole(self) -> None:
        waiting, leased = self._places()
        places = Counter([*waiting, *leased])
        assert max(places.values(), default=1) == 1, f"in two places: {places}"
        assert places.keys() == self.queue._entries.keys(), "an open item neither waits nor is on lease"
        ended = {one.key for one in self.queue._results.get("s", [])} | self.results.keys()
        assert not ended & self.queue._entries.keys(), "open although it ended"
        assert self.offered.keys() == {*ended, *self.queue._entries}, "lost, or not offered"
        status: WorkQueueStatus = self.queue.status()
        assert (status.waiting, status.leased) == (len(waiting), len(leased))
        assert status.epochs.keys() <= {*leased}
        assert status.idle_s >= 0
        self.queue.has_news("s")  # as most calls do, it takes back what silent workers hold
        for name, holder in self.queue._workers.items():
            assert self.now - holder.heard <= LEASE_S, f"{name} holds a lease that has expired"

    # ---- the end: workers that do what they should

    def teardown(self) -> None:
        for message in self.under_way:
            self.queue.finish(*message)
        self.now += LEASE_S + 1
        self.queue.register("last", "last-0", "last")
        for _ in range(4 * len(self.offered) + 4):
            self.collect()
            self.decide(False)
            assignment = self.queue.take("last", 6, 4)
            for item in assignment.items:
                self.queue.finish("last", item.key, self._result(item, fails=False))
        self.collect()
        assert self.results.keys() == self.offered.keys(), "not every item ended"
        assert self.queue._entries == {}
        assert self._places() == ([], [])
        self.queue.settle(list(self.results))
        assert not any(self.queue.is_open(name) for name in self.cohorts)

    # ---- inner workings

    def _offer(self, items: Sequence[WorkItem]) -> None:
        name = f"run{self.runs}/{self.made['cohort']}"
        self.made["cohort"] += 1
        self.queue.offer(name, items)
        self.offered |= {item.key: item for item in items}
        self.cohorts[name] = tuple(item.key for item in items)

    def _open(self) -> dict[str, WorkItem]:
        return {key: item for key, item in self.offered.items() if key not in self.results}

    def _obey(self, process: WorkerProcess, assignment: Assignment) -> None:
        """As `worker` does at the end of an epoch."""
        process.told = assignment
        if assignment.leave and process in self.processes:
            self.processes.remove(process)
            return
        if assignment.stop or assignment.give_back:
            process.stack.clear()
        for key in assignment.dropped:
            process.stack.pop(key, None)
        for key, reason in assignment.pruned.items():
            if key in process.stack:
                del process.stack[key]
                self.queue.finish(process.name, key, TrialResult("c", "pruned", reason))

    def _places(self) -> tuple[list[str], list[str]]:
        """Items that wait, and those on a lease."""
        return [*self.queue._waiting], [key for one in self.queue._workers.values() for key in one.leases]

    def _result(self, item: WorkItem, *, fails: bool) -> TrialResult:
        if fails:
            return TrialResult("c", "failed", "the loss is no longer finite")
        former = () if item.part is None or item.part.former is None else item.part.former.folds
        folds = FOLDS if item.part is None else {*item.part.folds, *former}
        return TrialResult("c", "complete", folds=np.array(sorted(folds)), score=0.5)

    def _check_result(self, one: ItemResult) -> None:
        if one.state == "complete":
            assert one.result is not None
            assert tuple(one.result.folds) == FOLDS, f"{one.key} is complete with some of its folds"
        if "lost its worker" in one.reason:
            assert one.lost == self.offered[one.key].retries + 1
        else:
            assert one.lost <= self.offered[one.key].retries

    def _one(self, among: Sequence[Any], pick: int) -> Any:
        return among[pick % len(among)]


TestQueue: Callable[..., Any] = QueueMachine.TestCase
TestQueue.settings = machine_settings(examples=80, steps=40)
