"""The exact optimum of two thresholds: all cuts between sorted values at once, and the middle of the best plateau.

Every Score that thresholds can reach is reached at a cut between neighbouring values. Lowering the blend threshold
adds clips one by one; after each addition the best cut on the other axis is a largest prefix sum, which a balanced
tree over the clips in order of unevenness keeps up to date: O(n log n) for all n^2 pairs of cuts.
"""

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float, Int
from rfe.decoding.candidates import Hits

_NEVER = -(2**40)  # below every count, far from overflow


def fit_plateau(
    hits: Hits, strength: Float, unevenness: Float, membership: NDArray[np.bool_], even_range: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Thresholds in the middle of the optimal plateau.

    Of all optimal blend thresholds the widest interval is taken (the lowest, where several are as wide) and its
    middle; at that value, the middle of the widest optimal interval of the even threshold.

    Args:
        hits, strength, unevenness, membership: as in `grid.fit_grid`.
        even_range: largest possible unevenness; the blend threshold lies in [0, 1].

    Returns:
        The blend and the even threshold, each [replica, fold].
    """
    clip = _relevant_clips(hits)  # [replica, n]; -1 pads
    pad = clip < 0

    def chosen(values: Float | Int, padding: float) -> NDArray[np.float64]:
        return np.where(pad, padding, np.take_along_axis(values, clip, -1)).astype(np.float64)

    level, uneven = chosen(strength, -np.inf), chosen(unevenness, np.inf)
    order = np.argsort(-level, -1, kind="stable")  # highest strength first: the order in which clips become blends
    level, uneven = np.take_along_axis(level, order, -1), np.take_along_axis(uneven, order, -1)
    clip = np.take_along_axis(clip, order, -1)
    member = membership[:, clip].swapaxes(0, 1) & (clip >= 0)[:, None]  # [replica, fold, n]

    def gains(values: NDArray[np.int8]) -> NDArray[np.int64]:
        return np.take_along_axis(values, clip, -1)[:, None].astype(np.int64) * member

    pair_gain, even_gain = gains(hits.pair_gain), gains(hits.even_gain)
    by_evenness = np.argsort(uneven, -1, kind="stable")
    uneven = np.take_along_axis(uneven, by_evenness, -1)
    ordered_gain = np.take_along_axis(even_gain, by_evenness[:, None], -1)
    cut_after = np.concatenate([uneven[:, 1:] > uneven[:, :-1], np.ones((len(uneven), 1), np.bool_)], -1)
    cut_first = np.where(uneven[:, 0] > 0, 0, _NEVER)  # "never even" needs room below the smallest value

    best_even = _largest_prefix_sums(by_evenness, ordered_gain, cut_after)
    best_even = np.maximum(best_even, cut_first[:, None, None]) + _prefix_sums(np.maximum(-even_gain, 0))
    n_clips, n_blends = membership.sum(1)[:, None], membership[:, hits.blend].sum(1)[:, None]
    value = _prefix_sums(pair_gain) * np.maximum(n_blends, 1) + best_even * n_clips  # 2 N N_b Score, less a constant
    low, high = _bounds(np.maximum(level[:, ::-1], 0.0), 1.0)  # [replica, n + 1], ascending
    first, last = _widest_best_run(value[..., ::-1], low, high)
    start, end = _at(low, first), _at(high, last)
    middle = 0.5 * (start + end)
    blend = np.where(middle > start, middle, end)  # a blend is `strength >= blend`: the upper end belongs to the run

    taken = np.take_along_axis(level, by_evenness, -1)[:, None] >= blend[..., None]  # [replica, fold, n]
    value = _prefix_sums(ordered_gain * taken)
    value[..., 0] += cut_first[:, None]
    low, high = _bounds(np.minimum(uneven, even_range), even_range)
    first, last = _widest_best_run(value, low, high)
    start, end = _at(low, first), _at(high, last)
    middle = 0.5 * (start + end)
    return blend, np.where(middle < end, middle, start)  # 50/50 is `unevenness <= even`: the lower end belongs


def _relevant_clips(hits: Hits) -> NDArray[np.int64]:
    """[replica, n] indices of the clips whose answer can be right or wrong by a threshold; n a power of 2, -1 pads."""
    relevant = (hits.pair_gain != 0) | (hits.even_gain != 0)
    count = relevant.sum(-1)
    width = 1 << max(int(count.max(initial=1)) - 1, 1).bit_length()
    clip = np.full((len(relevant), width), -1, np.int64)
    clip[np.arange(width) < count[:, None]] = np.nonzero(relevant)[1]
    return clip


def _prefix_sums(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """[..., n] -> [..., n + 1] sums of the first 0, 1, .. n."""
    sums = np.zeros((*values.shape[:-1], values.shape[-1] + 1), np.int64)
    np.cumsum(values, -1, out=sums[..., 1:])
    return sums


def _bounds(values: Float, upper: float) -> tuple[Float, Float]:
    """Lower and upper ends [replica, n + 1] of the gaps between ascending values [replica, n] in [0, upper]."""
    low = np.concatenate([np.zeros((len(values), 1)), values], -1)
    high = np.concatenate([values, np.full((len(values), 1), upper)], -1)
    return low, high


def _at(values: Float, index: Int) -> Float:
    """values [replica, n] at index [replica, fold]."""
    return np.take_along_axis(values, index, -1)


def _widest_best_run(value: NDArray[np.int64], low: Float, high: Float) -> tuple[Int, Int]:
    """First and last interval [replica, fold] of the widest run of intervals with the highest value.

    Intervals of no width (between equal values) are no cuts: they take the value of the interval before them (the
    first of all: after them), so that they neither win nor end a run.

    Args:
        value: [replica, fold, n + 1].
        low, high: [replica, n + 1] the intervals' ends, ascending.
    """
    has_width = high > low
    nearest = np.where(has_width, np.arange(value.shape[-1]), has_width.argmax(-1)[:, None])
    nearest = np.maximum.accumulate(nearest, -1)
    value = np.take_along_axis(value, np.broadcast_to(nearest[:, None], value.shape), -1)
    best = value == value.max(-1, keepdims=True)
    begins = best & ~np.concatenate([np.zeros_like(best[..., :1]), best[..., :-1]], -1)
    ends = best & ~np.concatenate([best[..., 1:], np.zeros_like(best[..., :1])], -1)
    begin = np.maximum.accumulate(np.where(begins, np.arange(value.shape[-1]), 0), -1)
    width = np.where(ends, high[:, None] - np.take_along_axis(low[:, None], begin, -1), -1.0)
    last = width.argmax(-1)
    return np.take_along_axis(begin, last[..., None], -1)[..., 0], last


def _largest_prefix_sums(
    time: NDArray[np.int64], gain: NDArray[np.int64], cut_after: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The largest sum of a prefix, after each addition of a clip.

    Args:
        time: [replica, n] when each clip is added (a permutation), clips in order of unevenness; n a power of 2.
        gain: [replica, fold, n] what each clip adds, same order.
        cut_after: [replica, n] whether a prefix may end after the clip.

    Returns:
        [replica, fold, n + 1] after 0, 1, .. n additions, over the non-empty prefixes.
    """
    # nodes of the tree, level by level: [.., node, version], version v = after the node's first v additions
    time = time[..., None]
    total = np.stack([np.zeros_like(gain), gain], -1)
    best = np.where(cut_after[:, None, :, None], total, _NEVER)
    while time.shape[1] > 1:
        half = time.shape[-1]
        both = time.reshape(len(time), -1, 2 * half)  # left members, then right members
        order = np.argsort(both, -1)
        time = np.take_along_axis(both, order, -1)
        n_left = _prefix_sums((order < half).astype(np.int64))[:, None]  # [replica, 1, node, version]
        n_right = np.arange(2 * half + 1) - n_left
        left, right = total[:, :, 0::2], total[:, :, 1::2]
        left_total = _versions(left, n_left)
        total, best = (
            left_total + _versions(right, n_right),
            np.maximum(_versions(best[:, :, 0::2], n_left), left_total + _versions(best[:, :, 1::2], n_right)),
        )
    return best[:, :, 0]


def _versions(values: NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.int64]:
    """values [replica, fold, node, version] at index [replica, 1, node, m]."""
    return np.take_along_axis(values, index, -1)
