"""When a study ends, what it has spent, and how an interrupt is heard."""

import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfe.errors import ConfigError
from rfe.journal.events import TrialLog
from rfe.journal.records import Record
from rfe.search.budget import SESSION, Budget, plan_budget, spent_seconds
from rfe.search.driver import run_search
from rfe.search.interrupt import LEFT_AT_ONCE, catch_interrupts
from rfe.search_space import SearchSpace, load_space
from rfe.workspace import open_workspace
from tests.unit.data.folders import make_folder

SEARCHED = {"train.lr": {"float": [0.001, 0.01]}}


def space(**fields: Any) -> SearchSpace:
    return load_space({"study": "s", "space": SEARCHED, **fields})


def records(*given: tuple[str, float]) -> Iterator[Record]:
    return (Record(time, "s", None, kind, {}) for kind, time in given)


def test_the_command_line_wins_over_the_space() -> None:
    given = space(budget={"trials": 5, "hours": 2.0})
    assert plan_budget(given, None, None) == Budget(5, 2.0, 10, None)
    assert plan_budget(given, 8, 0.5) == Budget(8, 0.5, 10, None)


def test_a_fixed_list_of_configurations_needs_no_budget() -> None:
    assert plan_budget(load_space({"study": "s"}), None, None).trials == 1
    assert plan_budget(load_space({"study": "s", "first_trials": [{}, {}]}), None, None).trials == 2


def test_a_grid_needs_no_budget() -> None:
    searched = {"train.epochs": {"int": [1, 3]}}
    grid = load_space({"study": "s", "space": searched, "sampler": {"kind": "grid"}})
    assert plan_budget(grid, None, None) == Budget(None, None, 10, None)


@pytest.mark.parametrize(
    ("trials", "hours", "named"),
    [
        (None, None, "budget.trials"),
        (0, None, r"trials \(--trials\): 0 is not a whole number above 0"),
        ("two", None, "trials .*: 'two' is not"),
        (2.5, None, "trials .*: 2.5 is not"),
        (True, None, "trials .*: True is not"),
        (None, -1.0, r"hours \(--hours\): -1.0 is not a number above 0"),
        (None, math.inf, "hours .*: inf is not"),
        (None, "1 h", "hours .*: '1 h' is not"),
    ],
)
def test_an_impossible_budget_is_refused(trials: Any, hours: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        plan_budget(space(), trials, hours)


def test_numbers_of_other_libraries_are_numbers() -> None:
    found = plan_budget(space(), np.int64(3), 2)  # type: ignore[arg-type]
    assert (found.trials, found.hours) == (3, 2.0)
    assert [type(one) for one in (found.trials, found.hours)] == [int, float]


@pytest.mark.parametrize("asked", [{"workers": "two"}, {"workers": 0}, {"seed": -1}, {"seed": 0.5}, {"seed": 2**64}])
def test_other_numbers_are_refused_before_there_is_a_study(asked: dict[str, Any], tmp_path: Path) -> None:
    (name,) = asked
    data = make_folder(tmp_path / "data")
    with pytest.raises(ConfigError, match=rf"{name} \(--{name}\): .* is not a whole number"):
        run_search(space(budget={"trials": 1}), data, open_workspace(tmp_path / "w"), **asked)
    assert not (tmp_path / "w" / "studies").exists()


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
