"""The pool's rules: leases, shapes, fair shares, losses, and what is said of cohorts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rfe.search.pool import FAILED_STARTS, HANG_GRACE_S, Pool
from rfe.search.work import Delivery, News, Report, WorkItem
from rfe.training.record import Checkpoint, Part, TrialResult


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(clock: Clock) -> Pool:
    return Pool(lease_s=30.0, clock=clock)


def item(key: str, shape: str = "a", **fields: object) -> WorkItem:
    return WorkItem(key, {}, "/data", shape=shape, **fields)  # type: ignore[arg-type]


def result(score: float = 0.5) -> TrialResult:
    return TrialResult("id", "complete", score=score)


def keys(pool: Pool, worker: str, n: int = 8, memory: float = 1e9) -> list[str]:
    return [one.key for one in pool.take(worker, memory, n).items]


def states(deliveries: Sequence[Delivery]) -> dict[str, str]:
    return {one.key: one.state for one in deliveries}


def test_take_returns_at_once_when_nothing_waits(pool: Pool) -> None:
    pool.register("w", "slot0")
    orders = pool.take("w", 1e9, 8)
    assert orders.items == ()
    assert not orders.stop


def test_a_stack_mixes_cohorts_but_not_shapes(pool: Pool) -> None:
    pool.register("w", "slot0")
    pool.offer("c1", [item("s/1"), item("s/2", "b")])
    pool.offer("c2", [item("s/3"), item("s/4", "b")])
    assert keys(pool, "w") == ["s/1", "s/3"]  # the oldest item decides the shape
    assert keys(pool, "other") == ["s/2", "s/4"]


def test_memory_is_the_unit_of_packing_but_one_item_always_fits(pool: Pool) -> None:
    pool.register("w", "slot0")
    pool.offer("run/c", [item(f"s/{i}", memory_bytes=400) for i in range(4)])
    assert keys(pool, "w", memory=1000) == ["s/0", "s/1"]
    assert keys(pool, "other", memory=100) == ["s/2"]


def test_idle_workers_share_what_waits(pool: Pool) -> None:
    pool.register("w1", "slot0")
    pool.register("w2", "slot1")
    pool.offer("run/c", [item(f"s/{i}") for i in range(8)])
    assert len(keys(pool, "w1")) == 4
    assert len(keys(pool, "w2")) == 4
    for i in range(4):
        pool.finish("w1", f"s/{i}", result())
    pool.offer("run/d", [item(f"s/{i}") for i in range(8, 12)])
    assert len(keys(pool, "w1")) == 4  # the other one is busy


def test_a_cohort_ends_when_all_its_items_are_settled(pool: Pool) -> None:
    pool.register("w", "slot0")
    pool.offer("run/c", [item("s/1"), item("s/2")])
    keys(pool, "w")
    pool.finish("w", "s/1", result())
    pool.settle(["s/1"])
    assert pool.is_open("run/c")
    pool.finish("w", "s/2", result())
    assert pool.is_open("run/c")  # its result is not booked yet
    assert states(pool.collect("s").deliveries) == {"s/1": "complete", "s/2": "complete"}
    pool.settle(["s/2"])
    assert not pool.is_open("run/c")


def test_offering_twice_attaches(pool: Pool) -> None:
    pool.register("w", "slot0")
    pool.offer("run/c", [item("s/1")])
    assert keys(pool, "w") == ["s/1"]
    pool.offer("run/c", [item("s/1")])
    assert keys(pool, "other") == []
    pool.finish("w", "s/1", result())
    pool.offer("run/c", [item("s/1")])
    assert keys(pool, "w") == []
    assert len(pool.collect("s").deliveries) == 1


def test_an_expired_lease_goes_back_to_the_front(pool: Pool, clock: Clock) -> None:
    pool.register("w1", "slot0")
    pool.offer("run/c", [item("s/1"), item("s/2")])
    assert keys(pool, "w1", n=1) == ["s/1"]
    clock.now += 20
    pool.heartbeat("w1", {"s/1": 3})
    clock.now += 20
    assert keys(pool, "w2", n=1) == ["s/2"]  # 20 s after a heartbeat the lease holds
    clock.now += 11
    assert keys(pool, "w3", n=1) == ["s/1"]


def test_a_worker_that_asks_for_more_trains_nothing_of_what_it_had(pool: Pool) -> None:
    """What it holds then never reached it, or was left by a stack that ended badly: it must not wait for ever."""
    pool.offer("run/c", [item("s/1"), item("s/2")])
    assert keys(pool, "w") == ["s/1", "s/2"]
    assert keys(pool, "w") == ["s/1", "s/2"]
    pool.finish("w", "s/1", result())
    assert keys(pool, "other") == []
    assert keys(pool, "w") == ["s/2"]


def test_what_a_worker_had_that_cannot_go_on_is_tried_elsewhere_and_its_loss_counted(pool: Pool) -> None:
    pool.offer("run/c", [item("s/1", retries=1), item("s/2", retries=1)])
    assert keys(pool, "broken") == ["s/1", "s/2"]
    pool.lose("broken", "CUDA error: an illegal memory access was encountered")
    assert pool.collect("s").deliveries == ()
    assert keys(pool, "sound") == ["s/1"]  # the last try is alone
    pool.lose("sound", "CUDA error: unknown error")
    (delivery,) = pool.collect("s").deliveries
    assert (delivery.state, delivery.lost) == ("failed", 2)
    assert "CUDA error: unknown error" in delivery.reason
    pool.lose("nobody", "")


def test_workers_that_end_before_they_take_anything_are_told_of(pool: Pool) -> None:
    pool.offer("run/c", [item("s/1")])
    for n in range(FAILED_STARTS):
        assert pool.collect("s").cannot_start == ""
        pool.register(f"w{n}", "slot0")
        assert not pool.fail_start(f"w{n}", "no module named x")
    assert pool.collect("s").cannot_start == "no module named x"
    assert keys(pool, "other") == ["s/1"]
    for n in range(FAILED_STARTS):
        pool.register(f"v{n}", "slot0")
        pool.fail_start(f"v{n}", "no module named x")
    assert pool.collect("s").cannot_start == ""  # one that trains is enough, however long it takes nothing
    pool.stop()
    assert pool.fail_start("late", "no module named x")  # nobody waits for another in its place


def test_a_mishap_of_each_of_many_workers_is_no_reason_to_give_up(pool: Pool) -> None:
    for n in range(2 * FAILED_STARTS):
        pool.register(f"w{n}", f"slot{n}")
        pool.fail_start(f"w{n}", "the file server was away")
    assert pool.collect("s").cannot_start == ""


def test_an_expired_lease_goes_back_with_its_last_checkpoint(pool: Pool, clock: Clock, tmp_path: Path) -> None:
    pool.offer("run/1", [item(f"s/{i}", checkpoint_file=str(tmp_path / f"{i}.npz")) for i in range(2)])
    pool.register("lost", "slot0")
    assert all(one.checkpoint is None for one in pool.take("lost", 1e9, 2).items)
    pool.save("lost", {"s/0": Checkpoint(3, [], {})})
    pool.save("lost", {"s/0": Checkpoint(7, [], {}), "s/9": Checkpoint(1, [], {})})
    clock.now += 31
    pool.register("next", "slot1")
    taken = {one.key: one.checkpoint for one in pool.take("next", 1e9, 2).items}
    assert taken["s/0"] is not None
    assert taken["s/0"].epoch == 7
    assert taken["s/1"] is None
    pool.save("lost", {"s/0": Checkpoint(9, [], {})})  # it holds the lease no more
    clock.now += 31
    pool.register("third", "slot2")
    (first, *_) = pool.take("third", 1e9, 2).items
    assert first.checkpoint is not None
    assert first.checkpoint.epoch == 7


def test_a_withdrawn_items_checkpoint_waits_for_the_run_that_offers_it_again(pool: Pool, tmp_path: Path) -> None:
    file = tmp_path / "0.npz"
    pool.offer("run/1", [item("s/0", checkpoint_file=str(file))])
    pool.register("w", "slot0")
    pool.take("w", 1e9, 1)
    pool.withdraw("run")
    assert pool.heartbeat("w", {"s/0": 4}).dropped == {"s/0"}
    pool.save("w", {"s/0": Checkpoint(4, [], {})})
    again = Pool()  # of another driver
    again.offer("next/1", [item("s/0", checkpoint_file=str(file))])
    (taken,) = again.take("w", 1e9, 1).items
    assert taken.checkpoint is not None
    assert taken.checkpoint.epoch == 4
    again.finish("w", "s/0", result())
    assert not file.exists()


def test_a_reported_score_is_compared_by_the_study_and_may_end_the_item(pool: Pool) -> None:
    pool.offer("run/1", [item("s/0"), item("s/1")])
    pool.register("w", "slot0")
    pool.take("w", 1e9, 2)
    assert not pool.heartbeat("w", {"s/0": 1, "s/1": 1}).undecided
    orders = pool.report("w", [Report("s/0", 2, 0.3), Report("s/1", 2, 0.4), Report("s/7", 2, 0.1)])
    assert (orders.undecided, dict(orders.pruned)) == (True, {})
    assert pool.has_news("s")
    assert pool.collect("s") == News((), (Report("s/0", 2, 0.3), Report("s/1", 2, 0.4)))
    pool.decide({"s/0": "bad", "s/1": "", "s/7": "gone"})
    orders = pool.heartbeat("w", {"s/0": 3, "s/1": 3})
    assert (orders.undecided, dict(orders.pruned)) == (False, {"s/0": "bad"})
    pool.finish("w", "s/0", TrialResult("id", "pruned", "bad"))
    assert states(pool.collect("s").deliveries) == {"s/0": "pruned"}
    assert not pool.heartbeat("w", {"s/1": 4}).pruned


def test_the_other_folds_are_a_second_lease_of_those_that_compare_well(pool: Pool) -> None:
    first = replace(result(0.4), folds=np.array([0, 1]), curves={"score": [(9, 0.4)]})
    pool.offer("run/1", [item(f"s/{i}", part=Part((0, 1)), rest=(2, 3, 4), compared=True) for i in range(2)])
    pool.register("w1", "slot0")
    pool.register("w2", "slot1")
    assert keys(pool, "w1") == ["s/0"]
    assert keys(pool, "w2") == ["s/1"]
    pool.finish("w1", "s/0", first)
    pool.finish("w2", "s/1", first)
    assert pool.collect("s") == News((), (Report("s/1", 9, 0.4), Report("s/0", 9, 0.4))[::-1])
    assert keys(pool, "w1") == []  # until the study has compared them
    pool.decide({"s/0": "", "s/1": "worse than others"})
    (delivery,) = pool.collect("s").deliveries
    assert (delivery.key, delivery.state, delivery.reason) == ("s/1", "pruned", "worse than others")
    assert delivery.result is not None
    assert delivery.result.curves == first.curves
    (rest,) = pool.take("w2", 1e9, 8).items
    assert (rest.key, rest.part, rest.rest, rest.compared) == ("s/0", Part((2, 3, 4), first), (), False)
    pool.finish("w1", "s/0", first)  # late, and no result of the whole
    assert not pool.has_news("s")
    pool.finish("w2", "s/0", replace(result(0.5), folds=np.arange(5)))
    assert states(pool.collect("s").deliveries) == {"s/0": "complete"}


def test_a_worker_that_comes_back_late_is_told_to_drop_what_it_lost(pool: Pool, clock: Clock) -> None:
    pool.register("w1", "slot0")
    pool.offer("run/c", [item("s/1")])
    keys(pool, "w1")
    clock.now += 31
    assert keys(pool, "w2") == ["s/1"]
    assert pool.heartbeat("w1", {"s/1": 5}).dropped == {"s/1"}
    assert pool.heartbeat("w2", {"s/1": 0}).dropped == frozenset()


def test_the_first_result_counts_whoever_brings_it(pool: Pool, clock: Clock) -> None:
    pool.register("w1", "slot0")
    pool.offer("run/c", [item("s/1")])
    keys(pool, "w1")
    clock.now += 31
    assert keys(pool, "w2") == ["s/1"]
    pool.finish("w1", "s/1", result(0.1))
    pool.finish("w2", "s/1", result(0.2))
    (delivery,) = pool.collect("s").deliveries
    assert delivery.result is not None
    assert delivery.result.score == 0.1
    assert pool.heartbeat("w2", {"s/1": 2}).dropped == {"s/1"}


def test_a_new_worker_in_a_slot_frees_the_old_ones_leases_at_once(pool: Pool) -> None:
    pool.register("w1", "slot0")
    pool.offer("run/c", [item("s/1"), item("s/2")])
    assert keys(pool, "w1") == ["s/1", "s/2"]
    pool.register("w2", "slot0")
    assert keys(pool, "w2") == ["s/1", "s/2"]
    pool.finish("w2", "s/1", result())
    assert pool.collect("s").deliveries[0].lost == 1


def test_an_item_that_keeps_losing_its_worker_fails_with_the_reason(pool: Pool, clock: Clock) -> None:
    pool.offer("run/c", [item("s/1", retries=1)])
    for worker in ("w1", "w2"):
        pool.register(worker, worker)
        assert keys(pool, worker) == ["s/1"]
        clock.now += 31
    assert pool.has_news("s")
    (delivery,) = pool.collect("s").deliveries
    assert delivery.state == "failed"
    assert "lost its worker 2 times" in delivery.reason
    assert keys(pool, "w3") == []


def test_an_item_that_ends_its_workers_does_not_take_its_neighbours_along(pool: Pool) -> None:
    pool.offer("run/c", [item(f"s/{i}", retries=2) for i in range(4)])
    for worker in range(10):  # each is Ray's replacement of the one before
        pool.register(f"w{worker}", "slot0")
        while (taken := keys(pool, f"w{worker}")) and "s/2" not in taken:
            for key in taken:
                pool.finish(f"w{worker}", key, result())
    assert states(pool.collect("s").deliveries) == dict.fromkeys(("s/0", "s/1", "s/3"), "complete") | {"s/2": "failed"}


def test_an_error_in_a_stack_is_pinned_on_the_item_that_raises_it(pool: Pool) -> None:
    pool.register("w", "slot0")
    pool.offer("run/c", [item(f"s/{i}") for i in range(5)])
    trained: list[str] = []
    for _ in range(20):
        taken = keys(pool, "w")
        if not taken:
            break
        if "s/3" in taken:
            pool.return_stack("w", taken, "ValueError: bad")
        else:
            trained += taken
            for key in taken:
                pool.finish("w", key, result())
    ended = states(pool.collect("s").deliveries)
    assert ended == {"s/0": "complete", "s/1": "complete", "s/2": "complete", "s/3": "failed", "s/4": "complete"}
    assert sorted(trained) == ["s/0", "s/1", "s/2", "s/4"]


def test_a_hang_is_pinned_on_the_item_that_hangs_and_its_worker_is_sent_away(pool: Pool, clock: Clock) -> None:
    pool.register("w0", "slot")
    pool.offer("run/c", [item("s/1", limit_s=10.0), item("s/2", limit_s=10.0)])
    assert keys(pool, "w0") == ["s/1", "s/2"]
    for _ in range(2):  # two in the stack: each may take 10 s of its time
        clock.now += 19
        assert not pool.heartbeat("w0", {"s/1": 0, "s/2": 0}).leave
    for _ in range(5):
        clock.now += HANG_GRACE_S / 2
        orders = pool.heartbeat("w0", {"s/1": 0, "s/2": 0})
        clock.now -= 5
    assert orders.leave
    assert pool.collect("s").deliveries == ()
    pool.register("w1", "slot")  # Ray's new process; now each is alone
    assert keys(pool, "w1") == ["s/1"]
    for _ in range(3):
        clock.now += 25
        leave = pool.heartbeat("w1", {"s/1": 0}).leave
    assert leave
    [ended] = pool.collect("s").deliveries
    assert (ended.key, ended.state, ended.lost) == ("s/1", "failed", 0)
    assert "limits.trial_minutes" in ended.reason
    pool.register("w2", "slot")
    assert keys(pool, "w2") == ["s/2"]
    pool.finish("w2", "s/2", result())
    assert states(pool.collect("s").deliveries) == {"s/2": "complete"}


def test_stop_hands_out_nothing_and_opens_all_cohorts(pool: Pool) -> None:
    pool.register("w", "slot0")
    pool.offer("run/c", [item("s/1"), item("s/2")])
    keys(pool, "w", n=1)
    pool.stop()
    assert pool.take("w", 1e9, 8).stop
    assert pool.heartbeat("w", {"s/1": 1}).dropped == {"s/1"}
    assert not pool.is_open("run/c")


def test_a_withdrawn_runs_items_end_without_a_delivery(pool: Pool) -> None:
    pool.register("w", "slot0")
    pool.offer("run/c", [item("s/1"), item("s/2")])
    keys(pool, "w", n=1)
    pool.withdraw("run")
    assert not pool.is_open("run/c")
    pool.offer("run/late", [item("s/3")])
    assert not pool.is_open("run/late")
    assert pool.heartbeat("w", {"s/1": 1}).dropped == {"s/1"}
    pool.finish("w", "s/1", result())
    assert pool.collect("s").deliveries == ()
    assert keys(pool, "w") == []


def test_status_counts_waiting_leased_and_idle(pool: Pool, clock: Clock) -> None:
    pool.register("w", "slot0")
    keys(pool, "w")
    clock.now += 4
    pool.offer("run/c", [item("s/1"), item("s/2")])
    keys(pool, "w", n=1)
    clock.now += 3
    status = pool.status()
    assert (status.waiting, status.leased, status.finished, status.workers) == (1, 1, 0, 1)
    assert status.idle_s == pytest.approx(4.0)


def test_studies_that_share_a_pool_get_their_own_results_and_bars(pool: Pool) -> None:
    pool.register("w", "slot0")
    pool.offer("run1/c", [item("s/1")])
    pool.offer("run2/c", [item("t/1")])
    pool.set_bar("s", 0.3)
    taken = pool.take("w", 1e9, 8)
    assert [one.key for one in taken.items] == ["s/1", "t/1"]
    assert taken.bars == {"s": 0.3}
    pool.withdraw("run2")
    pool.finish("w", "s/1", result())
    assert pool.collect("t").deliveries == ()
    assert states(pool.collect("s").deliveries) == {"s/1": "complete"}


def test_a_run_can_offer_again_what_a_withdrawn_one_left(pool: Pool) -> None:
    pool.register("w", "slot0")
    pool.offer("run1/c", [item("s/1")])
    pool.withdraw("run1")
    pool.offer("run2/c", [item("s/1")])
    assert keys(pool, "w") == ["s/1"]
