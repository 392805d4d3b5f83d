"""Calls that wait for the queue: woken when what they wait for happens, and by nothing else."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from rfe.search.work import WorkItem
from rfe.search.work_queue_actor import WorkQueueActor
from rfe.training.record import TrialResult

LONG_S = 60.0
"""A wait that is not woken fails its test."""


async def started(call: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    return task


async def offered() -> WorkQueueActor:
    actor = WorkQueueActor(30.0)
    await actor.call("offer", "run/c", [WorkItem("s/1", {}, "/data", shape="a")])
    await actor.call("take", "w", 1e9, 1)
    return actor


def test_waits_end_with_what_they_wait_for_and_not_before() -> None:
    async def scenario() -> None:
        actor = await offered()
        news, others = await started(actor.collect("s", LONG_S)), await started(actor.collect("t", 0.05))
        end = await started(actor.wait_cohort("run/c", LONG_S))
        await actor.call("heartbeat", "w", {"s/1": 1})
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in (news, others, end))
        await actor.call("finish", "w", "s/1", TrialResult("id", "complete", score=0.5))
        assert [one.key for one in (await asyncio.wait_for(news, 5)).results] == ["s/1"]
        assert not end.done()  # the driver is yet to record it
        await actor.call("settle", ["s/1"])
        assert await asyncio.wait_for(end, 5)
        assert (await others).results == ()

    asyncio.run(scenario())


def test_a_wait_that_timed_out_or_was_cancelled_does_not_disturb_later_ones() -> None:
    async def scenario() -> None:
        actor = await offered()
        assert not await actor.wait_cohort("run/c", 0.01)
        cancelled = await started(actor.wait_cohort("run/c", LONG_S))
        cancelled.cancel()
        await actor.call("status")
        both = [await started(actor.wait_cohort("run/c", LONG_S)) for _ in range(2)]
        await actor.call("cancel", "run")
        assert await asyncio.wait_for(asyncio.gather(*both), 5) == [True, True]
        assert await actor.wait_cohort("run/c", 0.0)  # what has ended is answered at once

    asyncio.run(scenario())
