"""Detects features far from the scale that a model was trained on: standardised, or in another unit."""

import numpy as np
from numpy.typing import NDArray

FAR = 5.0
"""Standard deviations of the training clips: half of all values further than this from the mean are off the scale."""
WIDE, NARROW = 4.0, 0.12
"""Shares of the training clips' spread beyond which features are off the scale."""
FEWEST = 20
"""Clips from which a spread is estimated."""


def describe_scale(values: NDArray[np.float32], mean: NDArray[np.float64], variance: NDArray[np.float64]) -> str | None:
    """Describe how features differ in scale from the training clips'; None where they may match.

    Medians over all values and columns: other people and rooms move them by a deviation or two (in the data this was
    made with, clips of one actor lie .5 to 1.0 deviations from the mean, and spread .5 to 1.2 times as wide).

    Args:
        values: [clip, dim] raw features of other clips.
        mean, variance: [dim] of the training clips; columns of variance 0 are not looked at.
    """
    informative = variance > 0
    if not informative.any() or not len(values):
        return None
    given = values[:, informative].astype(np.float64)
    deviation = np.sqrt(variance[informative])
    distance = float(np.median(np.abs(given - mean[informative]) / deviation))
    told = f"typically {distance:.3g} standard deviations from the training clips' mean"
    if len(values) < FEWEST:
        return told if distance > FAR else None
    spread = float(np.median(given.std(axis=0) / deviation))
    if distance <= FAR and NARROW <= spread <= WIDE:
        return None
    return f"{told}, and spread {spread:.3g} times as wide"
