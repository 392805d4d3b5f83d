"""The organisers' decoding: two thresholds on the fused probabilities, exact.

Keep the two largest probabilities. If the largest is below alpha: a single, the largest. Otherwise drop what is
below alpha; one left, or two that never blend (as neutral and any other): a single, the larger. Otherwise a blend,
50/50 where their difference is at most beta, else 70/30 toward the larger. All this is: a blend where the second
largest reaches alpha and the two blend, else the largest. Equal probabilities rank by class order. Where the largest
class never occurs alone, which the challenge does not have, see `PairStates.second`.

Source: the BlEmoRE challenge (arXiv 2601.13225), its organisers' published decoding.
"""

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float, Outputs
from rfe.decoding.candidates import Candidates
from rfe.decoding.thresholds import ThresholdDecoder


class OfficialDecoder(ThresholdDecoder):
    """`strength` is the second largest fused probability, `unevenness` its distance to the largest."""

    kind = "official"

    def candidates(self, outputs: Outputs) -> Candidates:
        """As `ThresholdDecoder.candidates`."""
        first, second, largest, next_largest = two_largest(outputs.fused)
        other, of_other, strength = self.pairs.second(outputs.fused, first, second, next_largest)
        finite = np.isfinite(largest)
        with np.errstate(invalid="ignore"):
            unevenness = largest - of_other
        return Candidates.of_pairs(self.pairs, first, other, first, strength, unevenness, finite)


def two_largest(values: Float) -> tuple[NDArray[np.int8], NDArray[np.int8], Float, Float]:
    """The two largest entries of each row, the lower index first among equals.

    Args:
        values: [..., clip, class].

    Returns:
        Index of the largest and of the second, then their values, each [..., clip]. The largest value is nan where
        any of the row is.

    Examples:
        >>> first, second, largest, next_largest = two_largest(np.array([[0.2, 0.5, 0.3]]))
        >>> first.tolist(), second.tolist(), largest.tolist()
        ([1], [2], [0.5])
    """
    planes = np.ascontiguousarray(np.moveaxis(values, -1, 0))  # [class, ..., clip]: whole-array comparisons
    largest, next_largest = planes[0], np.full_like(planes[0], -np.inf)
    first, second = np.zeros(largest.shape, np.int8), np.zeros(largest.shape, np.int8)
    for index in range(1, len(planes)):
        candidate, number = planes[index], np.int8(index)
        leads: NDArray[np.bool_] = candidate > largest
        follows: NDArray[np.bool_] = candidate > next_largest
        second = np.where(leads, first, np.where(follows, number, second))
        first = np.where(leads, number, first)
        next_largest = np.maximum(next_largest, np.minimum(candidate, largest))
        largest = np.maximum(largest, candidate)
    return first, second, largest, next_largest
