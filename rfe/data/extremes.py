"""Columns of features with single values far beyond the rest: what a program wrote for missing, or a broken clip."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rfe.data.standardize import is_constant

HUGE = 1e30
"""No feature is so large; programs write the largest float, 3.4e38, for what is missing."""
FAR = 1e6
"""Standard deviations of the clips that train: what lies further off has no meaning to a model."""

Float64 = NDArray[np.float64]


def find_huge(values: NDArray[np.float32]) -> list[int]:
    """Columns with a value beyond `HUGE`.

    Args:
        values: [clip, dim]

    >>> find_huge(np.array([[1, 2], [3, -3e38]], np.float32))
    [1]
    """
    largest = np.maximum(values.max(axis=0, initial=0), -values.min(axis=0, initial=0))
    return np.flatnonzero(largest > HUGE).tolist()


def find_far(folds: Sequence[NDArray[np.float32]], target: NDArray[np.float32]) -> list[int]:
    """Columns in which a clip is more than `FAR` deviations off the clips that train where it is answered: those of
    the other folds or, for target clips, of all folds.

    Args:
        folds: of each fold, its clips [clip, dim].
        target: [target clip, dim]
    """
    parts = [part for part in folds if len(part)]
    if not parts:
        return []
    count = np.array([len(part) for part in parts])
    mean = np.stack([part.mean(axis=0, dtype=np.float64) for part in parts])  # [fold, dim]
    variance = np.stack([part.var(axis=0, dtype=np.float64) for part in parts])
    far = np.zeros(mean.shape[1], np.bool_)
    for held_out, clips in enumerate([*parts, target]):
        rest = np.arange(len(parts)) != held_out
        if not len(clips) or not rest.any():
            continue
        center, spread = _pool(count[rest], mean[rest], variance[rest])
        informative = ~is_constant(center, spread)
        distance = np.maximum(clips.max(axis=0) - center, center - clips.min(axis=0))
        far |= informative & (distance > FAR * np.sqrt(spread))
    return np.flatnonzero(far).tolist()


def _pool(count: NDArray[np.int64], mean: Float64, variance: Float64) -> tuple[Float64, Float64]:
    """[dim] mean and variance of parts together, without the cancellation of sums that one huge part would cause."""
    weight = (count / count.sum())[:, np.newaxis]  # [part, 1]
    center: Float64 = (weight * mean).sum(axis=0)
    spread: Float64 = (weight * (variance + (mean - center) ** 2)).sum(axis=0)
    return center, spread
