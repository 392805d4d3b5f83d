"""The best pair of thresholds on a grid, from histograms instead of a scan over clips.

A clip's two numbers fall between grid points, so its contribution to every grid point is known from two bin numbers.
Histograms are counted once for each group of clips and added up for each fold.
"""

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float
from rfe.decoding.candidates import Hits, group_by_folds


def fit_grid(
    hits: Hits,
    strength: Float,
    unevenness: Float,
    membership: NDArray[np.bool_],
    blend_grid: NDArray[np.float64],
    even_grid: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Grid points with the highest Score; the first in order of (blend, even) where several tie.

    Args:
        hits: [replica, clip].
        strength, unevenness: [replica, clip].
        membership: [fold, clip] which clips count for which fold.
        blend_grid, even_grid: [point] ascending.

    Returns:
        The blend and the even threshold, each [replica, fold].
    """
    scores = grid_scores(hits, strength, unevenness, membership, blend_grid, even_grid)
    best = scores.reshape(*scores.shape[:2], -1).argmax(-1)
    return blend_grid[best // len(even_grid)], even_grid[best % len(even_grid)]


def grid_scores(
    hits: Hits,
    strength: Float,
    unevenness: Float,
    membership: NDArray[np.bool_],
    blend_grid: NDArray[np.float64],
    even_grid: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[replica, fold, blend point, even point] Score at every grid point (ACC_salience counts 0 without blends)."""
    n_replicas = len(strength)
    group, member = group_by_folds(membership)
    n_groups, n_blend, n_even = member.shape[1], len(blend_grid), len(even_grid)
    # tables are indexed by how many grid points a clip's number reaches: 0 .. number of points
    cell = np.arange(n_replicas)[:, None] * n_groups + group  # [replica, clip]
    table = (n_replicas * n_groups, n_blend + 1)

    def count(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        bins = np.searchsorted(blend_grid, strength[chosen], "right")
        index = cell[chosen] * table[1] + bins
        return np.bincount(index, minlength=table[0] * table[1]).reshape(n_replicas, n_groups, table[1])

    def count_both(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        bins = np.searchsorted(blend_grid, strength[chosen], "right")
        index = (cell[chosen] * table[1] + bins) * (n_even + 1) + np.searchsorted(even_grid, unevenness[chosen], "left")
        size = table[0] * table[1] * (n_even + 1)
        return np.bincount(index, minlength=size).reshape(n_replicas, n_groups, table[1], n_even + 1)

    gain = count(hits.pair_gain > 0) - count(hits.pair_gain < 0)  # [replica, group, blend bin]
    even, leaning = count_both(hits.even_gain > 0), count_both(hits.even_gain < 0)
    # a blend is answered at the points that strength reaches: sum over the bins above; 50/50 at the points that
    # reach unevenness: sum over the bins up to the point
    right = np.cumsum(even - leaning, -1)[..., :n_even] + leaning.sum(-1, keepdims=True)
    salience = np.einsum("fg,rgbe->rfbe", member, _sum_above(right, axis=2), optimize=True)
    single = np.bincount(cell[hits.single], minlength=table[0]).reshape(n_replicas, n_groups)
    presence = np.einsum("fg,rgb->rfb", member, single[..., None] + _sum_above(gain, axis=2), optimize=True)
    n_clips, n_blends = membership.sum(1), membership[:, hits.blend].sum(1)  # [fold]
    # the organisers' form of the sum: equal hits then give equal floats, and their ties
    share = salience / np.maximum(n_blends, 1)[:, None, None]
    return np.asarray(0.5 * (presence / np.maximum(n_clips, 1)[:, None])[..., None] + 0.5 * share)


def _sum_above(table: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    """Entry j: the sum of all bins above j; one entry fewer than there are bins."""
    total = np.flip(np.cumsum(np.flip(table, axis), axis), axis)
    return np.take(total, np.arange(1, table.shape[axis]), axis)
