"""When a study ends, what it has spent, and how an interrupt is heard."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from rfe.errors import ConfigError
from rfe.journal.events import TrialLog
from rfe.journal.records import Record
from rfe.search.budget import SESSION, Budget, plan_budget, spent_seconds
from rfe.search.interrupt import LEFT_AT_ONCE, catch_interrupts
from rfe.search.options import RunOptions
from rfe.search_space import SearchSpace, load_space

SEARCHED = {"train.lr": {"float": [0.001, 0.01]}}


def space(**fields: Any) -> SearchSpace:
    return load_space({"study": "s", "space": SEARCHED, **fields})


def records(*given: tuple[str, float]) -> Iterator[Record]:
    return (Record(time, "s", None, kind, {}) for kind, time in given)


def test_the_command_line_wins_over_the_space() -> None:
    given = space(budget={"trials": 5, "hours": 2.0})
    assert plan_budget(given, RunOptions()) == Budget(5, 2.0, 10, None)
    assert plan_budget(given, RunOptions(8, 0.5)) == Budget(8, 0.5, 10, None)


def test_a_fixed_list_of_configurations_needs_no_budget() -> None:
    assert plan_budget(load_space({"study": "s"}), RunOptions()).trials == 1
    assert plan_budget(load_space({"study": "s", "first_trials": [{}, {}]}), RunOptions()).trials == 2


def test_a_grid_needs_no_budget() -> None:
    searched = {"train.epochs": {"int": [1, 3]}}
    grid = load_space({"study": "s", "space": searched, "sampler": {"kind": "grid"}})
    assert plan_budget(grid, RunOptions()) == Budget(None, None, 10, None)


def test_an_endless_search_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"budget\.trials"):
        plan_budget(space(), RunOptions())


def test_what_ends_a_study() -> None:
    budget = Budget(20, 1.0, failed_in_a_row=3, no_improvement=7)
    assert budget.left(18) == 2
    assert budget.left(25) == 0
    assert budget.end(3599.0, 6, 99) == ""
    assert "1 hours" in budget.end(3600.0, 0, 0)
    assert "7 finished trials" in budget.end(0.0, 7, 0)
    assert "nothing new" in budget.end(0.0, 0, 100)
    assert budget.failure(2, "x") == ""
    assert "3 trials failed in a row" in budget.failure(3, "no such thing")
    assert "no such thing" in budget.failure(3, "no such thing")


def test_time_spent_adds_up_over_commands_and_leaves_the_breaks_out() -> None:
    given = records(
        (SESSION, 100), ("trial", 160), (SESSION, 1000), ("trial", 1010), ("outcome", 1030), (SESSION, 5000)
    )
    assert spent_seconds(given) == 60 + 30
    assert spent_seconds(records()) == 0.0


def worked(*given: tuple[str, float, float]) -> Iterator[Record]:
    return (Record(time, "s", None, kind, {}, seconds) for kind, time, seconds in given)


def test_seconds_worked_are_counted_whatever_the_clock_says() -> None:
    """A closed lid added its hours, a clock set back subtracted them, a start in 1970 gave 498,611 hours."""
    lid = worked((SESSION, 0, 0.1), ("trial", 100, 100.0), ("trial", 36_100, 130.0))
    assert spent_seconds(lid) == 130
    back = worked((SESSION, 36_000, 0.1), ("trial", 0, 60.0), (SESSION, 10, 0.1), ("trial", 20, 10.0))
    assert spent_seconds(back) == 60 + 10
    at_1970 = worked((SESSION, 5, 0.1), ("trial", 1.795e9, 30.0))
    assert spent_seconds(at_1970) == 30
    repaired = worked((SESSION, 5, 0.1), ("trial", 40, 30.0), ("trial", 500, 2.0))
    assert spent_seconds(repaired) == 30


def test_of_a_journal_with_times_only_a_clock_that_was_set_is_no_work() -> None:
    assert spent_seconds(records((SESSION, 5), ("trial", 65), ("trial", 1.795e9), ("trial", 1.795e9 + 7))) == 60 + 7
    assert spent_seconds(records((SESSION, 5000), ("trial", 5010), ("trial", 10), ("outcome", 30))) == 10 + 20


def test_what_asks_for_more() -> None:
    def logs(n: int, **tags: str) -> list[TrialLog]:
        return [TrialLog("s", number, "complete", "id", {}, tags=tags) for number in range(n)]

    budget = Budget(200, 1.0, 10, None)
    assert budget.asks_for_more([], 0.0)
    assert budget.asks_for_more(logs(199), 3599.0)
    assert not budget.asks_for_more(logs(200), 0.0)
    assert not budget.asks_for_more(logs(5), 3600.0)
    assert not budget.asks_for_more(logs(100, duplicate_of="0"), 0.0)
    assert not Budget(200, None, 10, 7).asks_for_more(logs(5), 0.0)  # it may have ended for want of a better one


def test_the_first_interrupt_is_noted_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with catch_interrupts() as interrupt:
        assert not interrupt.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.asked
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_second_interrupt_leaves_at_once() -> None:
    code = (
        "import os, signal\n"
        "from rfe.search.interrupt import catch_interrupts\n"
        "with catch_interrupts():\n"
        "    os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == LEFT_AT_ONCE
    assert done.stdout == ""
