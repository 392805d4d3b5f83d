"""The queue's rules: leases, shapes, fair shares, losses, and what is said of cohorts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.search.work import ItemResult, Report, Updates, WorkItem
from rfe.search.work_queue import FAILED_STARTS, HANG_GRACE_S, LONGEST_PAUSE_S, WorkQueue
from rfe.training.record import Checkpoint, FoldPart, TrialResult


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue:
    return WorkQueue(lease_s=30.0, clock=clock)


def item(key: str, shape: str = "a", **fields: object) -> WorkItem:
    return WorkItem(key, {}, "/data", shape=shape, **fields)  # type: ignore[arg-type]


def result(score: float = 0.5) -> TrialResult:
    return TrialResult("id", "complete", score=score)


def keys(queue: WorkQueue, worker: str, n: int = 8, memory: float = 1e9) -> list[str]:
    return [one.key for one in queue.take(worker, memory, n).items]


def states(results: Sequence[ItemResult]) -> dict[str, str]:
    return {one.key: one.state for one in results}


def test_take_returns_at_once_when_nothing_waits(queue: WorkQueue) -> None:
    queue.register("w", "slot0")
    assignment = queue.take("w", 1e9, 8)
    assert assignment.items == ()
    assert not assignment.stop


def test_a_stack_mixes_cohorts_but_not_shapes(queue: WorkQueue) -> None:
    queue.register("w", "slot0")
    queue.offer("c1", [item("s/1"), item("s/2", "b")])
    queue.offer("c2", [item("s/3"), item("s/4", "b")])
    assert keys(queue, "w") == ["s/1", "s/3"]  # the oldest item decides the shape
    assert keys(queue, "other") == ["s/2", "s/4"]


def test_memory_is_the_unit_of_packing_but_one_item_always_fits(queue: WorkQueue) -> None:
    queue.register("w", "slot0")
    queue.offer("run/c", [item(f"s/{i}", memory_bytes=400) for i in range(4)])
    assert keys(queue, "w", memory=1000) == ["s/0", "s/1"]
    assert keys(queue, "other", memory=100) == ["s/2"]


def test_idle_workers_share_what_waits(queue: WorkQueue) -> None:
    queue.register("w1", "slot0")
    queue.register("w2", "slot1")
    queue.offer("run/c", [item(f"s/{i}") for i in range(8)])
    assert len(keys(queue, "w1")) == 4
    assert len(keys(queue, "w2")) == 4
    for i in range(4):
        queue.finish("w1", f"s/{i}", result())
    queue.offer("run/d", [item(f"s/{i}") for i in range(8, 12)])
    assert len(keys(queue, "w1")) == 4  # the other one is busy


def test_a_cohort_ends_when_all_its_items_are_settled(queue: WorkQueue) -> None:
    queue.register("w", "slot0")
    queue.offer("run/c", [item("s/1"), item("s/2")])
    keys(queue, "w")
    queue.finish("w", "s/1", result())
    queue.settle(["s/1"])
    assert queue.is_open("run/c")
    queue.finish("w", "s/2", result())
    assert queue.is_open("run/c")  # its result is not booked yet
    assert states(queue.collect("s").results) == {"s/1": "complete", "s/2": "complete"}
    queue.settle(["s/2"])
    assert not queue.is_open("run/c")


def test_offering_twice_attaches(queue: WorkQueue) -> None:
    queue.register("w", "slot0")
    queue.offer("run/c", [item("s/1")])
    assert keys(queue, "w") == ["s/1"]
    queue.offer("run/c", [item("s/1")])
    assert keys(queue, "other") == []
    queue.finish("w", "s/1", result())
    queue.offer("run/c", [item("s/1")])
    assert keys(queue, "w") == []
    assert len(queue.collect("s").results) == 1


def test_an_expired_lease_goes_back_to_the_front(queue: WorkQueue, clock: Clock) -> None:
    queue.register("w1", "slot0")
    queue.offer("run/c", [item("s/1"), item("s/2")])
    assert keys(queue, "w1", n=1) == ["s/1"]
    clock.now += 20
    queue.heartbeat("w1", {"s/1": 3})
    clock.now += 20
    assert keys(queue, "w2", n=1) == ["s/2"]  # 20 s after a heartbeat the lease holds
    clock.now += 11
    assert keys(queue, "w3", n=1) == ["s/1"]


def test_a_worker_that_asks_for_more_trains_nothing_of_what_it_had(queue: WorkQueue) -> None:
    """What it holds then never reached it, or was left by a stack that ended badly: it must not wait without end."""
    queue.offer("run/c", [item("s/1"), item("s/2")])
    assert keys(queue, "w") == ["s/1", "s/2"]
    assert keys(queue, "w") == ["s/1", "s/2"]
    queue.finish("w", "s/1", result())
    assert keys(queue, "other") == []
    assert keys(queue, "w") == ["s/2"]


def test_what_a_worker_had_that_cannot_go_on_is_tried_elsewhere_and_its_loss_counted(queue: WorkQueue) -> None:
    queue.offer("run/c", [item("s/1", retries=1), item("s/2", retries=1)])
    assert keys(queue, "broken") == ["s/1", "s/2"]
    queue.lose("broken", "CUDA error: an illegal memory access was encountered")
    assert queue.collect("s").results == ()
    assert keys(queue, "sound") == ["s/1"]  # the last try is alone
    queue.lose("sound", "CUDA error: unknown error")
    (item_result,) = queue.collect("s").results
    assert (item_result.state, item_result.lost) == ("failed", 2)
    assert "CUDA error: unknown error" in item_result.reason
    queue.lose("unknown", "")


def test_workers_that_end_before_they_take_anything_are_told_of(queue: WorkQueue) -> None:
    queue.offer("run/c", [item("s/1")])
    for n in range(FAILED_STARTS):
        assert queue.collect("s").cannot_start == ""
        queue.register(f"w{n}", "slot0")
        assert not queue.fail_start(f"w{n}", "no module named x")
    assert queue.collect("s").cannot_start == "no module named x"
    assert keys(queue, "other") == ["s/1"]
    for n in range(FAILED_STARTS):
        queue.register(f"v{n}", "slot0")
        queue.fail_start(f"v{n}", "no module named x")
    assert queue.collect("s").cannot_start == ""  # one that trains is enough, however long it takes nothing
    queue.stop()
    assert queue.fail_start("late", "no module named x")  # no other is expected in its place


def test_a_mishap_of_each_of_many_workers_is_no_reason_to_give_up(queue: WorkQueue) -> None:
    for n in range(2 * FAILED_STARTS):
        queue.register(f"w{n}", f"slot{n}")
        queue.fail_start(f"w{n}", "the file server was away")
    assert queue.collect("s").cannot_start == ""


def test_an_expired_lease_goes_back_with_its_last_checkpoint(queue: WorkQueue, clock: Clock, tmp_path: Path) -> None:
    queue.offer("run/1", [item(f"s/{i}", checkpoint_file=str(tmp_path / f"{i}.npz")) for i in range(2)])
    queue.register("lost", "slot0")
    assert all(one.checkpoint is None for one in queue.take("lost", 1e9, 2).items)
    queue.save("lost", {"s/0": Checkpoint(3, [], {})})
    queue.save("lost", {"s/0": Checkpoint(7, [], {}), "s/9": Checkpoint(1, [], {})})
    clock.now += 31
    queue.register("next", "slot1")
    taken = {one.key: one.checkpoint for one in queue.take("next", 1e9, 2).items}
    assert taken["s/0"] is not None
    assert taken["s/0"].epoch == 7
    assert taken["s/1"] is None
    queue.save("lost", {"s/0": Checkpoint(9, [], {})})  # it holds the lease no more
    clock.now += 31
    queue.register("third", "slot2")
    (first, *_) = queue.take("third", 1e9, 2).items
    assert first.checkpoint is not None
    assert first.checkpoint.epoch == 7


def test_a_cancelled_items_checkpoint_waits_for_the_run_that_offers_it_again(queue: WorkQueue, tmp_path: Path) -> None:
    file = tmp_path / "0.npz"
    queue.offer("run/1", [item("s/0", checkpoint_file=str(file))])
    queue.register("w", "slot0")
    queue.take("w", 1e9, 1)
    queue.cancel("run")
    assert queue.heartbeat("w", {"s/0": 4}).dropped == {"s/0"}
    queue.save("w", {"s/0": Checkpoint(4, [], {})})
    again = WorkQueue()  # of another driver
    again.offer("next/1", [item("s/0", checkpoint_file=str(file))])
    (taken,) = again.take("w", 1e9, 1).items
    assert taken.checkpoint is not None
    assert taken.checkpoint.epoch == 4
    again.finish("w", "s/0", result())
    assert not file.exists()


def test_a_reported_score_is_compared_by_the_study_and_may_end_the_item(queue: WorkQueue) -> None:
    queue.offer("run/1", [item("s/0"), item("s/1")])
    queue.register("w", "slot0")
    queue.take("w", 1e9, 2)
    assert not queue.heartbeat("w", {"s/0": 1, "s/1": 1}).undecided
    assignment = queue.report("w", [Report("s/0", 2, 0.3), Report("s/1", 2, 0.4), Report("s/7", 2, 0.1)])
    assert (assignment.undecided, dict(assignment.pruned)) == (True, {})
    assert queue.has_news("s")
    assert queue.collect("s") == Updates((), (Report("s/0", 2, 0.3), Report("s/1", 2, 0.4)))
    queue.decide({"s/0": "bad", "s/1": "", "s/7": "gone"})
    assignment = queue.heartbeat("w", {"s/0": 3, "s/1": 3})
    assert (assignment.undecided, dict(assignment.pruned)) == (False, {"s/0": "bad"})
    queue.finish("w", "s/0", TrialResult("id", "pruned", "bad"))
    assert states(queue.collect("s").results) == {"s/0": "pruned"}
    assert not queue.heartbeat("w", {"s/1": 4}).pruned


def test_the_other_folds_are_a_second_lease_of_those_that_compare_well(queue: WorkQueue) -> None:
    first = replace(result(0.4), folds=np.array([0, 1]), curves={"score": [(9, 0.4)]})
    queue.offer("run/1", [item(f"s/{i}", part=FoldPart((0, 1)), rest=(2, 3, 4), compared=True) for i in range(2)])
    queue.register("w1", "slot0")
    queue.register("w2", "slot1")
    assert keys(queue, "w1") == ["s/0"]
    assert keys(queue, "w2") == ["s/1"]
    queue.finish("w1", "s/0", first)
    queue.finish("w2", "s/1", first)
    assert queue.collect("s") == Updates((), (Report("s/1", 9, 0.4), Report("s/0", 9, 0.4))[::-1])
    assert keys(queue, "w1") == []  # until the study has compared them
    queue.decide({"s/0": "", "s/1": "worse than others"})
    (item_result,) = queue.collect("s").results
    assert (item_result.key, item_result.state, item_result.reason) == ("s/1", "pruned", "worse than others")
    assert item_result.result is not None
    assert item_result.result.curves == first.curves
    (rest,) = queue.take("w2", 1e9, 8).items
    assert (rest.key, rest.part, rest.rest, rest.compared) == ("s/0", FoldPart((2, 3, 4), first), (), False)
    queue.finish("w1", "s/0", first)  # late, and no result of the whole
    assert not queue.has_news("s")
    queue.finish("w2", "s/0", replace(result(0.5), folds=np.arange(5)))
    assert states(queue.collect("s").results) == {"s/0": "complete"}


def test_a_worker_that_comes_back_late_is_told_to_drop_what_it_lost(queue: WorkQueue, clock: Clock) -> None:
    queue.register("w1", "slot0")
    queue.offer("run/c", [item("s/1")])
    keys(queue, "w1")
    clock.now += 31
    assert keys(queue, "w2") == ["s/1"]
    assert queue.heartbeat("w1", {"s/1": 5}).dropped == {"s/1"}
    assert queue.heartbeat("w2", {"s/1": 0}).dropped == frozenset()


def test_the_first_result_counts_whoever_brings_it(queue: WorkQueue, clock: Clock) -> None:
    queue.register("w1", "slot0")
    queue.offer("run/c", [item("s/1")])
    keys(queue, "w1")
    clock.now += 31
    assert keys(queue, "w2") == ["s/1"]
    queue.finish("w1", "s/1", result(0.1))
    queue.finish("w2", "s/1", result(0.2))
    (item_result,) = queue.collect("s").results
    assert item_result.result is not None
    assert item_result.result.score == 0.1
    assert queue.heartbeat("w2", {"s/1": 2}).dropped == {"s/1"}


def test_a_new_worker_in_a_slot_frees_the_old_ones_leases_at_once(queue: WorkQueue) -> None:
    queue.register("w1", "slot0")
    queue.offer("run/c", [item("s/1"), item("s/2")])
    assert keys(queue, "w1") == ["s/1", "s/2"]
    queue.register("w2", "slot0")
    assert keys(queue, "w2") == ["s/1", "s/2"]
    queue.finish("w2", "s/1", result())
    assert queue.collect("s").results[0].lost == 1


def test_an_item_that_keeps_losing_its_worker_fails_with_the_reason(queue: WorkQueue, clock: Clock) -> None:
    queue.offer("run/c", [item("s/1", retries=1)])
    for worker in ("w1", "w2"):
        queue.register(worker, worker)
        assert keys(queue, worker) == ["s/1"]
        clock.now += 31
    assert queue.has_news("s")
    (item_result,) = queue.collect("s").results
    assert item_result.state == "failed"
    assert "lost its worker 2 times" in item_result.reason
    assert keys(queue, "w3") == []


def test_an_item_that_ends_its_workers_does_not_take_its_neighbours_along(queue: WorkQueue) -> None:
    queue.offer("run/c", [item(f"s/{i}", retries=2) for i in range(4)])
    for worker in range(10):  # each is Ray's replacement of the one before
        queue.register(f"w{worker}", "slot0")
        while (taken := keys(queue, f"w{worker}")) and "s/2" not in taken:
            for key in taken:
                queue.finish(f"w{worker}", key, result())
    assert states(queue.collect("s").results) == dict.fromkeys(("s/0", "s/1", "s/3"), "complete") | {"s/2": "failed"}


def test_an_error_in_a_stack_is_pinned_on_the_item_that_raises_it(queue: WorkQueue) -> None:
    queue.register("w", "slot0")
    queue.offer("run/c", [item(f"s/{i}") for i in range(5)])
    trained: list[str] = []
    for _ in range(20):
        taken = keys(queue, "w")
        if not taken:
            break
        if "s/3" in taken:
            queue.return_stack("w", taken, "ValueError: bad")
        else:
            trained += taken
            for key in taken:
                queue.finish("w", key, result())
    ended = states(queue.collect("s").results)
    assert ended == {"s/0": "complete", "s/1": "complete", "s/2": "complete", "s/3": "failed", "s/4": "complete"}
    assert sorted(trained) == ["s/0", "s/1", "s/2", "s/4"]


def test_a_hang_is_pinned_on_the_item_that_hangs_and_its_worker_is_sent_away(queue: WorkQueue, clock: Clock) -> None:
    queue.register("w0", "slot")
    queue.offer("run/c", [item("s/1", limit_s=10.0), item("s/2", limit_s=10.0)])
    assert keys(queue, "w0") == ["s/1", "s/2"]
    for _ in range(2):  # two in the stack: each may take 10 s of its time
        clock.now += 19
        assert not queue.heartbeat("w0", {"s/1": 0, "s/2": 0}).leave
    for _ in range(5):
        clock.now += HANG_GRACE_S / 2
        assignment = queue.heartbeat("w0", {"s/1": 0, "s/2": 0})
        clock.now -= 5
    assert assignment.leave
    assert queue.collect("s").results == ()
    queue.register("w1", "slot")  # Ray's new process; now each is alone
    assert keys(queue, "w1") == ["s/1"]
    for _ in range(3):
        clock.now += 25
        leave = queue.heartbeat("w1", {"s/1": 0}).leave
    assert leave
    [ended] = queue.collect("s").results
    assert (ended.key, ended.state, ended.lost) == ("s/1", "failed", 0)
    assert "limits.trial_minutes" in ended.reason
    queue.register("w2", "slot")
    assert keys(queue, "w2") == ["s/2"]
    queue.finish("w2", "s/2", result())
    assert states(queue.collect("s").results) == {"s/2": "complete"}


def test_stop_hands_out_nothing_and_opens_all_cohorts(queue: WorkQueue) -> None:
    queue.register("w", "slot0")
    queue.offer("run/c", [item("s/1"), item("s/2")])
    keys(queue, "w", n=1)
    queue.stop()
    assert queue.take("w", 1e9, 8).stop
    assert queue.heartbeat("w", {"s/1": 1}).dropped == {"s/1"}
    assert not queue.is_open("run/c")


def test_a_cancelled_runs_items_end_without_a_delivery(queue: WorkQueue) -> None:
    queue.register("w", "slot0")
    queue.offer("run/c", [item("s/1"), item("s/2")])
    keys(queue, "w", n=1)
    queue.cancel("run")
    assert not queue.is_open("run/c")
    queue.offer("run/late", [item("s/3")])
    assert not queue.is_open("run/late")
    assert queue.heartbeat("w", {"s/1": 1}).dropped == {"s/1"}
    queue.finish("w", "s/1", result())
    assert queue.collect("s").results == ()
    assert keys(queue, "w") == []


def test_status_counts_waiting_leased_and_idle(queue: WorkQueue, clock: Clock) -> None:
    queue.register("w", "slot0")
    keys(queue, "w")
    clock.now += 4
    queue.offer("run/c", [item("s/1"), item("s/2")])
    keys(queue, "w", n=1)
    clock.now += 3
    status = queue.status()
    assert (status.waiting, status.leased, status.finished, status.workers) == (1, 1, 0, 1)
    assert status.idle_s == pytest.approx(4.0)


def test_studies_that_share_a_pool_get_their_own_results_and_bars(queue: WorkQueue) -> None:
    queue.register("w", "slot0")
    queue.offer("run1/c", [item("s/1")])
    queue.offer("run2/c", [item("t/1")])
    queue.settle([], {"s": 0.3})
    taken = queue.take("w", 1e9, 8)
    assert [one.key for one in taken.items] == ["s/1", "t/1"]
    assert taken.weight_thresholds == {"s": 0.3}
    queue.cancel("run2")
    queue.finish("w", "s/1", result())
    assert queue.collect("t").results == ()
    assert states(queue.collect("s").results) == {"s/1": "complete"}


def test_a_run_can_offer_again_what_a_cancelled_one_left(queue: WorkQueue) -> None:
    queue.register("w", "slot0")
    queue.offer("run1/c", [item("s/1")])
    queue.cancel("run1")
    queue.offer("run2/c", [item("s/1")])
    assert keys(queue, "w") == ["s/1"]


def test_what_a_user_asked_for_comes_before_what_waits(queue: WorkQueue) -> None:
    queue.offer("run/c", [item("s/1"), item("s/2")])
    queue.offer("run/d", [item("s/3", ahead=True), item("s/4", ahead=True)])
    assert keys(queue, "w") == ["s/3", "s/4", "s/1", "s/2"]


def test_items_are_pruned_where_they_are(queue: WorkQueue, tmp_path: Path) -> None:
    """One that waits ends at once, with the curves of its checkpoint; its worker ends one in training."""
    file = str(tmp_path / "2.npz")
    queue.register("w", "slot0")
    queue.offer("run/c", [item("s/1"), item("s/2", checkpoint_file=file), item("s/3")])
    assert keys(queue, "w", 2) == ["s/1", "s/2"]
    queue.save("w", {"s/2": Checkpoint(4, [], {"score": [(4, 0.25)]}, 1.5)})
    queue.lose("w", "gone")
    assert keys(queue, "other", 1) == ["s/1"]
    queue.prune({"s/1": "asked", "s/2": "asked", "s/3": "asked", "s/9": "is yet to come"})
    ended = {one.key: one for one in queue.collect("s").results}
    assert states(list(ended.values())) == {"s/2": "pruned", "s/3": "pruned"}
    assert ended["s/2"].result is not None
    assert (ended["s/2"].result.curves, ended["s/2"].result.seconds) == ({"score": [(4, 0.25)]}, 1.5)
    assert ended["s/3"].result is None
    assert not Path(file).exists()
    assert queue.heartbeat("other", {"s/1": 5}).pruned == {"s/1": "asked"}


def test_workers_that_leave_take_no_share(queue: WorkQueue) -> None:
    for name, slot in (("a", "workers0-0"), ("b", "workers0-1"), ("c", "workers1-0")):
        queue.register(name, slot)
        queue.take(name, 1e9, 4)
    queue.retire(["workers0"])
    queue.offer("run/c", [item(f"s/{i}") for i in range(4)])
    assert len(keys(queue, "c")) == 4
    assert queue.take("a", 1e9, 4).stop
    queue.heartbeat("a", {})  # was under way
    assert not queue.take("c", 1e9, 4).stop
    assert queue.status().workers == 2  # `a` has gone, `b` has yet to hear of it


def test_a_node_that_stays_after_all_gets_work_again(queue: WorkQueue) -> None:
    queue.register("a", "workers0-0", "n1")
    queue.offer("run/c", [item("s/1")])
    queue.drain(["n1"])
    assert keys(queue, "a") == []
    queue.drain([])
    assert keys(queue, "a") == ["s/1"]


def test_an_open_items_share_of_its_stacks_time_is_known(queue: WorkQueue, clock: Clock) -> None:
    queue.offer("run/c", [item("s/1"), item("s/2")])
    keys(queue, "w")
    clock.now += 10
    assert queue.status().seconds == {"s/1": 5.0, "s/2": 5.0}


def test_how_long_an_item_waited_for_its_first_worker_comes_with_its_end(queue: WorkQueue, clock: Clock) -> None:
    queue.register("w", "slot0")
    queue.offer("c", [item("s/1"), item("s/2"), item("s/3")])
    clock.now += 5
    assert keys(queue, "w", n=1) == ["s/1"]
    queue.finish("w", "s/1", result())
    clock.now += 2
    assert keys(queue, "w", n=1) == ["s/2"]
    queue.register("other", "slot0")  # the first worker is gone: what it had waits again, and has waited its time
    clock.now += 4
    assert keys(queue, "other", n=1) == ["s/2"]
    queue.finish("other", "s/2", result())
    assert [(one.key, one.worker, one.wait_s) for one in queue.collect("s").results] == [
        ("s/1", "w", 5.0),
        ("s/2", "other", 7.0),
    ]


def test_first_folds_that_come_late_do_not_put_an_item_into_the_queue_twice(queue: WorkQueue, clock: Clock) -> None:
    """Before, it stood there twice, and a worker got it twice in one stack, whose replicas then had one key."""
    queue.offer("c", [item("s/1", part=FoldPart((0, 1)), rest=(2, 3)), item("s/2")])
    assert keys(queue, "frozen", 1) == ["s/1"]
    clock.now += 31
    assert queue.status().workers == 0
    assert not queue.has_news("s")  # it waits again
    queue.finish("frozen", "s/1", replace(result(), folds=np.array([0, 1])))
    queue.decide({"s/1": ""})
    assert (keys(queue, "other"), keys(queue, "frozen")) == (["s/1"], ["s/2"])


def test_many_workers_are_asked_to_call_less_often(queue: WorkQueue) -> None:
    queue.offer("run/c", [item(f"s/{i}") for i in range(3)])
    for n in range(300):
        queue.register(f"w{n}", f"slot-{n}")
    assert queue.take("w0", 1e9, 1).pause_s == 0.0  # it has something to train
    keys(queue, "w1", 1), keys(queue, "w2", 1)
    assert queue.take("w3", 1e9, 1).pause_s == pytest.approx(2.97)  # 297 are idle, 100 of them may ask in a second
    assert queue.heartbeat("w0", {"s/0": 1}).pause_s == pytest.approx(3.0)
    for n in range(300, 2000):
        queue.register(f"w{n}", f"slot-{n}")
    assert queue.heartbeat("w0", {"s/0": 1}).pause_s == LONGEST_PAUSE_S


def test_a_silent_worker_is_noticed_though_others_are_heard(queue: WorkQueue, clock: Clock) -> None:
    queue.offer("run/c", [item("s/1"), item("s/2")])
    assert keys(queue, "w0", 1) + keys(queue, "w1", 1) == ["s/1", "s/2"]
    for _ in range(3):
        clock.now += 11.0
        queue.heartbeat("w1", {"s/2": 1})
    assert keys(queue, "w2") == ["s/1"]
