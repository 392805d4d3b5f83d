"""Tasks: what follows from classes, pairs and ratios, and what cannot be one."""

from math import inf, nan
from typing import Any

import numpy as np
import pytest

from rfe.errors import ConfigError
from rfe.task import BLEMORE, Task

COMPOUND = Task("compound", ("a", "b", "c"), pairs=((0, 1), (1, 2)), alone=(False, False, False))
MANY = Task("many", ("a", "b", "c"), pairs=((0, 2),), ratios_percent=(80, 65, 50, 35, 20), metric="blemore")
PLAIN = Task("plain", ("a", "b"))


@pytest.mark.parametrize("task", [BLEMORE, MANY, PLAIN], ids=lambda task: task.name)
def test_each_state_is_found_by_its_percents(task: Task) -> None:
    percents = [task.state_percents(state) for state in range(task.n_states)]
    assert [task.state_index(one) for one in percents] == [*range(task.n_states)]


@pytest.mark.parametrize("task", [BLEMORE, MANY, PLAIN, COMPOUND], ids=lambda task: task.name)
def test_soft_labels_are_distributions_over_the_sets_classes(task: Task) -> None:
    np.testing.assert_allclose(task.state_salience.sum(1), 1.0)
    np.testing.assert_array_equal(task.state_salience > 0, task.set_members[task.state_set] > 0)
    assert len(task.state_set) == task.n_states == len(task.state_is_blend) == len(task.state_possible)
    assert len(task.set_names) == task.n_sets == len(task.set_possible)


def test_blemore_has_the_organisers_order() -> None:
    assert (BLEMORE.n_classes, BLEMORE.n_sets, BLEMORE.n_states) == (6, 16, 36)
    assert BLEMORE.set_names[5:8] == ("neu", "ang+disg", "ang+fea")
    assert [BLEMORE.state_name(state) for state in (0, 6, 7, 8)] == [
        "ang",
        "ang 70 + disg 30",
        "ang 50 + disg 50",
        "ang 30 + disg 70",
    ]


def test_a_pair_without_ratios_has_one_state() -> None:
    assert (COMPOUND.n_sets, COMPOUND.n_states) == (5, 5)
    assert COMPOUND.state_index({"b": 50, "a": 50}) == COMPOUND.state_index({"a": 99, "b": 3}) == 3
    assert COMPOUND.state_name(3) == "a + b"
    np.testing.assert_array_equal(COMPOUND.state_possible, [False, False, False, True, True])


@pytest.mark.parametrize(
    ("task", "percents", "problem"),
    [
        (BLEMORE, {"ang": inf}, "has inf"),
        (BLEMORE, {"ang": nan}, "has nan"),
        (BLEMORE, {"ang": 99.0}, "has 99"),
        (BLEMORE, {"ang": nan, "hap": 30.0}, "must sum to 100"),
        (BLEMORE, {"ang": inf, "hap": 30.0}, "must sum to 100"),
        (BLEMORE, {"ang": 60.0, "hap": 40.0}, "70/30, 50/50 or 30/70"),
        (BLEMORE, {"neu": 50.0, "hap": 50.0}, "neutral never blends"),
        (BLEMORE, {"joy": 100.0}, "unknown class 'joy'; this task has ang, disg"),
        (BLEMORE, {"ang": 40.0, "hap": 30.0, "sad": 30.0}, "one or two classes, not 3"),
        (MANY, {"a": 70.0, "c": 30.0}, "80/20, 65/35, 50/50, 35/65 or 20/80"),
        (MANY, {"a": 50.0, "b": 50.0}, "b never blends"),
        (COMPOUND, {"a": 100.0}, "a never occurs alone"),
        (COMPOUND, {"a": 50.0, "c": 50.0}, "not one of this task's 2 pairs"),
        (PLAIN, {"a": 50.0, "b": 50.0}, "this task has no blends"),
    ],
)
def test_what_is_not_a_state_is_refused_in_a_sentence(task: Task, percents: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        task.state_index(percents)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"classes": ("a",)}, "there are 1; a task has 2 to 64"),
        ({"classes": tuple(f"c{i}" for i in range(65))}, "there are 65"),
        ({"classes": ("a", "b", "a")}, "'a' occurs more than once"),
        ({"classes": ("a", "b+c")}, r"'b\+c' cannot be a code"),
        ({"pairs": ((1, 0),)}, "the lower index first"),
        ({"pairs": ((0, 1), (0, 1))}, "one occurs more than once"),
        ({"alone": (True, False, True)}, "'b' neither occurs alone nor blends"),
        ({"ratios_percent": (70, 30)}, "no blends that could have one"),
        ({"pairs": ((0, 1),), "ratios_percent": (70, 50)}, "70 is there and 30 is not"),
        ({"pairs": ((0, 1),), "ratios_percent": (30, 70)}, "the largest share of the first class first"),
        ({"pairs": ((0, 1),), "ratios_percent": (100, 0)}, "not a percentage between 0 and 100"),
        ({"pairs": ((0, 1),), "ratios_percent": (95, 90, 80, 70, 60, 40, 30, 20, 10, 5)}, "at most 9"),
        ({"metric": "f1"}, "'f1' is unknown; use blemore"),
        ({"metric": "salience_mae"}, "no blends with two or more ratios"),
        ({"submission": "xml"}, "'xml' is unknown; use blemore or csv"),
    ],
)
def test_what_is_not_a_task_is_refused_in_a_sentence(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Task("t", **({"classes": ("a", "b", "c")} | fields))


def test_equal_tasks_are_one_and_its_arrays_cannot_be_changed() -> None:
    assert Task("t", ("a", "b")) == Task("t", ("a", "b"), class_names=("a", "b"), alone=(True, True))
    assert len({BLEMORE, BLEMORE, PLAIN}) == 2
    with pytest.raises(ValueError, match="read-only"):
        BLEMORE.state_salience[0, 0] = 2.0
