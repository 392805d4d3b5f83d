"""What may be asked of a run: numbers in their ranges, and the study that another one learns from."""

import math
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfe.errors import ConfigError
from rfe.search.options import RunArguments, RunOptions
from rfe.workspace import open_workspace


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trials": 0}, r"trials \(--trials\): 0 is not a whole number above 0"),
        ({"trials": "two"}, "trials .*: 'two' is not"),
        ({"trials": 2.5}, "trials .*: 2.5 is not"),
        ({"trials": True}, "trials .*: True is not"),
        ({"hours": -1.0}, r"hours \(--hours\): -1.0 is not a number above 0"),
        ({"hours": math.inf}, "hours .*: inf is not"),
        ({"hours": "1 h"}, "hours .*: '1 h' is not"),
        ({"workers": "two"}, "workers .*: 'two' is not"),
        ({"workers": 0}, "workers .*: 0 is not a whole number above 0"),
        ({"seed": -1}, r"seed \(--seed\): -1 is not a whole number from 0"),
        ({"seed": 0.5}, "seed .*: 0.5 is not"),
        ({"seed": 2**64}, "seed .*: 18446744073709551616 is not"),
    ],
)
def test_a_number_out_of_its_range_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RunOptions(**given)


def test_numbers_of_other_libraries_are_numbers() -> None:
    found = RunOptions(np.int64(3), 2, seed=np.int64(0))  # type: ignore[arg-type]
    assert (found.trials, found.hours, found.seed) == (3, 2.0, 0)
    assert [type(one) for one in (found.trials, found.hours, found.seed)] == [int, float, int]


def test_options_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        RunOptions().trials = 3  # type: ignore[misc]


def test_each_option_can_be_given_by_name() -> None:
    assert list(RunArguments.__annotations__) == [one.name for one in fields(RunOptions)]


def test_the_earlier_study_is_one_of_the_workspace(tmp_path: Path) -> None:
    workspace = open_workspace(tmp_path)
    assert RunOptions(warm_start="old").earlier_study(workspace) == workspace.study("old").path
    assert RunOptions().earlier_study(workspace) is None
