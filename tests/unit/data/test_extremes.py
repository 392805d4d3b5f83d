"""Single values that spoil their column are found; wide and skewed columns are not."""

import numpy as np
import pytest

from rfe.data.extremes import find_far, find_huge

STREAM = np.random.default_rng(0)
VALUES = STREAM.normal(size=(60, 4)).astype(np.float32)
TARGET = STREAM.normal(size=(20, 4)).astype(np.float32)


def test_sentinels_are_huge() -> None:
    values = VALUES.copy()
    values[3, 1], values[4, 2] = np.finfo(np.float32).max, -np.finfo(np.float32).max
    assert find_huge(values) == [1, 2]
    assert find_huge(VALUES * np.float32(1e20)) == []
    assert find_huge(VALUES[:0]) == []


@pytest.mark.parametrize("unit", [1e-29, 1e-10, 1.0])
@pytest.mark.parametrize("row", [25, 65])
def test_a_value_that_the_training_clips_do_not_reach_is_far(unit: float, row: int) -> None:
    """A clip of one fold, or of the target; over all clips together its own value widens the spread."""
    values = (np.concatenate([VALUES, TARGET]) * unit).astype(np.float32)
    values[row, 3] = 1e10
    assert find_far(np.split(values[:60], 3), values[60:]) == [3]


def test_honest_columns_are_not_far() -> None:
    skewed = np.exp(4 * np.concatenate([VALUES, TARGET])).astype(np.float32)
    skewed[:, 1] = 7
    skewed[40:60, 2] += 1000
    skewed[:, 3] = 1e30 * STREAM.normal(size=80)
    assert find_far(np.split(skewed[:60], 3), skewed[60:]) == []
    assert find_far([], TARGET) == []
    assert find_far([VALUES], TARGET[:0]) == []


def test_a_column_that_is_constant_where_others_train_is_not_far() -> None:
    values = VALUES.copy()
    values[:, 0] = 1e-3
    values[:20, 0] = 1e9
    assert find_far([values[20:40], values[40:]], values[:20]) == []  # it becomes 0 there
