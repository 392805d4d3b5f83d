"""The worker's loop against a plain queue: no Ray, no training."""

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import torch

from rfe.search import worker
from rfe.search.checkpoints import load_checkpoint
from rfe.search.work import Assignment, ItemResult, Report, WorkItem
from rfe.search.work_queue import WorkQueue
from rfe.search.worker import (
    Deliver,
    HeartbeatReporter,
    OnEpochEnd,
    WorkerSettings,
    describe_error,
    is_usable,
    serve,
    stack_memory,
)
from rfe.training.record import Checkpoint, EpochReport, TrialResult

HERE = "tests.unit.search.test_worker"
LAST_EPOCH: dict[str, int] = {}
"""Key -> the epoch at which `train_plain` let go of it."""


def train_plain(
    items: Sequence[WorkItem], settings: WorkerSettings, device: str, on_epoch_end: OnEpochEnd, deliver: Deliver
) -> None:
    """Scores are in the configurations; `raise` raises, `epochs` are ticked one by one, `hang` ends when told."""
    running = {item.key: item for item in items}
    if any("raise" in item.config for item in items):
        raise ValueError("planted")
    epoch = 0
    while running:
        epoch += 1
        time.sleep(items[0].config.get("sleep", 0.0))
        scores = {key: item.config.get("scores", {}).get(epoch) for key, item in running.items()}
        ends = on_epoch_end({key: EpochReport(epoch, 10**6, scores[key]) for key in running})
        for key, item in list(running.items()):
            done = epoch >= item.config.get("epochs", 1)
            if key in ends:
                deliver(key, TrialResult("id", ends[key].state, ends[key].reason))
            elif done:
                weights = {"w": np.zeros(1, np.float32)}
                deliver(key, TrialResult("id", "complete", score=item.config.get("score", 0.5), weights=weights))
            if key in ends or done:
                LAST_EPOCH[key] = epoch
                del running[key]


def run_worker(
    queue: WorkQueue, n_ended: int, decide: Callable[[Report], str] = lambda report: "", **settings: object
) -> dict[str, ItemResult]:
    """Serve until `n_ended` items ended; `decide` says what becomes of an item whose score was reported."""
    fields = {"queue": "", "cache": Path(), "stack": 4, "train": f"{HERE}:train_plain", "poll_s": 0.001} | settings
    thread = Thread(target=serve, args=(queue, "slot", WorkerSettings(**fields)), daemon=True)  # type: ignore[arg-type]
    thread.start()
    ended: dict[str, ItemResult] = {}
    deadline = time.monotonic() + 10
    while len(ended) < n_ended and time.monotonic() < deadline:
        updates = queue.collect("s")
        ended |= {one.key[2:]: one for one in updates.results}
        queue.decide({report.key: decide(report) for report in updates.reports})
        time.sleep(0.005)
    queue.stop()
    thread.join(5)
    assert not thread.is_alive()
    return ended | {one.key[2:]: one for one in queue.collect("s").results}


@pytest.fixture(autouse=True)
def _plain_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_find_device", lambda settings: ("cpu", 1e9))


def item(key: str, config: dict[str, object] | None = None, **fields: object) -> WorkItem:
    return WorkItem(f"s/{key}", config or {}, "/data", shape="a", **fields)  # type: ignore[arg-type]


def test_every_item_is_delivered_once() -> None:
    queue = WorkQueue()
    queue.offer("run/c", [item(str(i)) for i in range(10)])
    ended = run_worker(queue, 10)
    assert sorted(ended) == sorted(str(i) for i in range(10))
    assert {one.state for one in ended.values()} == {"complete"}


def test_an_error_fails_the_item_and_not_its_neighbours() -> None:
    queue = WorkQueue()
    queue.offer("run/c", [item("bad", {"raise": True}), *(item(str(i)) for i in range(3))])
    ended = run_worker(queue, 4)
    assert ended["bad"].state == "failed"
    assert "ValueError: planted (test_worker.py:" in ended["bad"].reason
    assert [ended[str(i)].state for i in range(3)] == ["complete"] * 3


def test_weights_return_only_from_the_bar_on_or_when_kept() -> None:
    queue = WorkQueue()
    queue.settle([], {"s": 0.4})
    queue.offer("run/c", [item("low", {"score": 0.3}), item("high", {"score": 0.4})])
    queue.offer("run/d", [item("kept", {"score": 0.1}, keep_weights=True)])
    ended = run_worker(queue, 3)
    weights = {key: one.result is not None and one.result.weights is not None for key, one in ended.items()}
    assert weights == {"low": False, "high": True, "kept": True}


def test_an_item_over_its_time_fails_with_the_limit_named() -> None:
    queue = WorkQueue()
    queue.offer("run/c", [item("slow", {"epochs": 50, "sleep": 0.02}, limit_s=0.05), item("free", {"epochs": 50})])
    ended = run_worker(queue, 2)
    assert ended["slow"].state == "failed"
    assert "limits.trial_minutes" in ended["slow"].reason
    assert ended["free"].state == "complete"


def test_cancelled_items_leave_the_stack_and_nothing_is_delivered() -> None:
    queue = WorkQueue()
    queue.offer("run/c", [item("1", {"epochs": 100_000, "sleep": 0.001})])
    queue.offer("other/c", [item("2", {"epochs": 200})])

    def cancel() -> None:
        while not queue.status().epochs:
            time.sleep(0.005)
        queue.cancel("run")

    Thread(target=cancel, daemon=True).start()
    ended = run_worker(queue, 1, heartbeat_s=0.01)
    assert ended.keys() == {"2"}
    assert LAST_EPOCH["s/1"] < 100_000


def test_a_badly_comparing_item_leaves_the_stack_and_the_others_go_on() -> None:
    queue = WorkQueue()
    bad = {"epochs": 400, "sleep": 0.001, "scores": {2: 0.1}}
    queue.offer("run/c", [item("bad", bad, compared=True), item("good", {"epochs": 400}, compared=True)])
    seen: list[Report] = []

    def decide(report: Report) -> str:
        seen.append(report)
        return "worst of all"

    ended = run_worker(queue, 2, decide, heartbeat_s=60.0)  # the verdict does not wait for a heartbeat
    assert [(one.key, one.epoch, one.score) for one in seen] == [("s/bad", 2, 0.1)]
    assert (ended["bad"].state, ended["bad"].reason) == ("pruned", "worst of all")
    assert LAST_EPOCH["s/bad"] < 400
    assert ended["good"].state == "complete"


def test_a_worker_that_is_stuck_in_a_step_ends_its_process() -> None:
    """No epoch ends, so `on_epoch_end` is not called: the heartbeat hears that it is to leave, and ends the process."""
    stuck = multiprocessing.get_context("spawn").Process(target=serve_stuck)
    stuck.start()
    stuck.join(120)
    assert stuck.exitcode == 1


def serve_stuck() -> None:
    """A worker in a stack that would end in an hour, with a queue for which a millisecond is a second."""
    worker._find_device = lambda settings: ("cpu", 1e9)
    queue = WorkQueue(lease_s=1e9, clock=lambda: 1000 * time.monotonic())
    queue.offer("run/c", [item("stuck", {"sleep": 3600.0}, limit_s=10.0)])
    fields = {"queue": "", "cache": Path(), "stack": 4, "train": f"{HERE}:train_plain", "heartbeat_s": 0.01}
    serve(queue, "slot", WorkerSettings(**fields))  # type: ignore[arg-type]


def test_an_errors_description_is_one_line_with_its_place() -> None:
    try:
        raise KeyError("a\nb")
    except KeyError as error:
        text = describe_error(error)
    assert "\n" not in text
    assert text.startswith("KeyError: ")
    assert "(test_worker.py:" in text


def test_an_answer_to_a_stack_that_ended_says_nothing_of_the_next_one() -> None:
    """The heartbeat's answer is under way while the stack ends and its item is leased again."""
    asked, answered, asked_again, end = Event(), Event(), Event(), Event()

    class Slow(WorkQueue):
        def heartbeat(
            self, worker: str, epochs: Mapping[str, int], scores: Mapping[str, float] | None = None
        ) -> Assignment:
            if not asked.is_set():
                asked.set()
                answered.wait(10)
                return Assignment(dropped=frozenset({"s/1"}))
            asked_again.set()
            end.wait(10)
            return Assignment()

    with HeartbeatReporter(Slow(), "w", WorkerSettings("", Path(), 4, heartbeat_s=0.001)) as reporter:
        reporter.begin(Assignment((item("1"), item("2"))))
        assert asked.wait(10)
        reporter.rest()
        reporter.begin(Assignment((item("1"),)))
        answered.set()
        assert asked_again.wait(10)  # by now the first answer was dealt with
        assert reporter.on_epoch_end({"s/1": EpochReport(1, 10)}) == {}
        end.set()


def test_what_is_cancelled_is_saved_for_whoever_offers_it_again(tmp_path: Path) -> None:
    queue = WorkQueue()
    first, second = (item(key, checkpoint_file=str(tmp_path / f"{key}.npz")) for key in ("1", "2"))
    queue.offer("run/c", [first])
    queue.offer("other/c", [second])
    reporter = HeartbeatReporter(queue, "w", WorkerSettings("", Path(), 4))
    reporter.begin(queue.take("w", 1e9, 4))
    queue.cancel("run")
    reporter.assignment = queue.heartbeat("w", {"s/1": 6, "s/2": 6})
    report = EpochReport(7, 100, None, lambda: Checkpoint(7, [], {}))
    assert reporter.on_epoch_end({"s/1": report, "s/2": report}).keys() == {"s/1"}
    saved = load_checkpoint(first)
    assert saved is not None
    assert saved.epoch == 7
    assert load_checkpoint(second) is None  # it goes on, and was saved no sooner than it would be


@pytest.mark.parametrize("node", [False, True])
def test_a_worker_that_has_to_leave_saves_at_the_next_epoch_and_gives_back(node: bool, tmp_path: Path) -> None:
    queue = WorkQueue()
    first = item("1", checkpoint_file=str(tmp_path / "1.npz"))
    queue.offer("run/c", [first])
    queue.register("w", "workers0-0", "n0")
    reporter = HeartbeatReporter(queue, "w", WorkerSettings("", Path(), 4))
    reporter.begin(queue.take("w", 1e9, 4))
    queue.drain(["n0"]) if node else queue.retire(["workers0"])
    reporter.assignment = queue.heartbeat("w", {"s/1": 6}, {"s/1": 0.4})
    report = EpochReport(7, 100, None, lambda: Checkpoint(7, [], {}))
    assert (
        reporter.on_epoch_end({"s/1": report}).keys() == reporter.dropped == {"s/1"}
    )  # what it returns then is not delivered
    assignment = queue.take("w", 1e9, 4)
    assert (assignment.items, assignment.stop) == (
        (),
        not node,
    )  # one whose node goes stays there, one that was sent goes
    (taken,) = queue.take("other", 1e9, 4).items
    assert taken.checkpoint is not None
    assert taken.checkpoint.epoch == 7
    assert queue.collect("s").results == ()


def test_the_last_scores_reach_the_pool_without_a_pruner() -> None:
    queue = WorkQueue()
    queue.offer("run/c", [item("1"), item("2")])
    reporter = HeartbeatReporter(queue, "w", WorkerSettings("", Path(), 4))
    reporter.begin(queue.take("w", 1e9, 4))
    reporter.on_epoch_end({"s/1": EpochReport(2, 9, 0.25), "s/2": EpochReport(2, 9, 0.5)})
    reporter.on_epoch_end({"s/1": EpochReport(3, 9)})
    queue.heartbeat("w", reporter._epochs, reporter._scores)
    assert queue.status().scores == {"s/1": 0.25}
    assert queue.status().epochs == {"s/1": 3}
    queue.finish("w", "s/1", TrialResult("id", "complete", score=0.3))
    assert queue.status().scores == {}


def test_a_broken_gpu_ends_its_process_and_the_items_are_trained_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int) -> None:
        raise SystemExit(code)

    queue = WorkQueue()
    queue.offer("run/c", [item("1", {"raise": True})])
    monkeypatch.setattr(worker.os, "_exit", leave)
    monkeypatch.setattr(worker, "is_usable", lambda device: False)
    fields = {"queue": "", "cache": Path(), "stack": 4, "train": f"{HERE}:train_plain"}
    with pytest.raises(SystemExit):
        serve(queue, "slot", WorkerSettings(**fields))  # type: ignore[arg-type]
    assert queue.collect("s").results == ()
    assert [one.key for one in queue.take("next", 1e9, 4).items] == ["s/1"]


@pytest.mark.parametrize(
    ("error", "usable"),
    [
        (None, True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
    ],
)
def test_a_gpu_that_raises_whatever_is_asked_is_unusable(
    error: RuntimeError | None, usable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def synchronize() -> None:
        if error is not None:
            raise error

    ones = torch.ones(1)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: ones)
    assert is_usable("cuda") is usable
    assert is_usable("cpu")


@pytest.mark.parametrize(("share", "free", "room"), [(1.0, 20, 20), (0.5, 20, 12), (0.5, 9, 9)])
def test_a_gpus_room_is_the_workers_share_and_no_more_than_is_free(
    share: float, free: float, room: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # of the plain device
    fractions: list[float] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 24))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", fractions.append)
    settings = WorkerSettings("", Path(), 4, torch.get_num_threads(), device_share=share)
    assert worker._find_device(settings) == ("cuda", pytest.approx(worker.GPU_PART * room))
    assert fractions == ([share] if share < 1 else [])


@pytest.mark.parametrize(("free", "n_workers", "most"), [(None, 4, 4.0), (100.0, 2, 4.0), (8.0, 2, 2.8), (2.0, 1, 1.4)])
def test_a_stack_takes_no_more_memory_than_the_node_has_for_it(
    free: float | None, n_workers: int, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: 4 GB for each worker, also in a container of 2."""
    monkeypatch.setattr("rfe.search.worker.free_memory", lambda: free)
    assert stack_memory(4.0, n_workers) == pytest.approx(most)
