"""Two thresholds that maximise any metric, by trying them.

BlEmoRE's score is a sum of hits, which `grid` and `plateau` maximise by counting. Other metrics are functions of sums
over clips, so here each pair of thresholds is answered, summed and compared.
"""

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float, Int
from rfe.decoding.candidates import Candidates, group_by_folds
from rfe.metrics.metric import Metric
from rfe.task import Task

MAX_CUTS = 200
"""Values of one threshold that `fit_cuts` tries: cuts evenly spaced over the sorted values."""


def fit_metric_grid(
    metric: Metric,
    task: Task,
    candidates: Candidates,
    truth_state: Int,
    membership: NDArray[np.bool_],
    blend_grid: NDArray[np.float64],
    even_grid: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Grid points with the highest value of a metric; the first in order of (blend, even) where several tie.

    Args:
        metric: what to maximise.
        task: whose states are meant.
        candidates: [replica, clip].
        truth_state: [clip].
        membership: [fold, clip] which clips count for which fold.
        blend_grid, even_grid: [point].

    Returns:
        The blend and the even threshold, each [replica, fold].
    """
    blend, even = (axis.ravel() for axis in np.meshgrid(blend_grid, even_grid, indexing="ij"))
    n_replicas = len(candidates.strength)
    best = np.empty((n_replicas, len(membership)), np.int64)
    for replica in range(n_replicas):
        one = candidates.replica(replica)
        values = _values(metric, task, one, truth_state, membership, blend, even)
        best[replica] = np.where(np.isnan(values), -np.inf, values).argmax(0)
    return blend[best], even[best]


def fit_cuts(
    metric: Metric,
    task: Task,
    candidates: Candidates,
    truth_state: Int,
    membership: NDArray[np.bool_],
    start: tuple[NDArray[np.float64], NDArray[np.float64]],
    even_range: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The best cut between neighbouring values: of the blend threshold first, then of the even one.

    One threshold at a time, from `start`: not the optimum over all pairs, which `plateau` finds for BlEmoRE's score.

    Args:
        metric, task, candidates, truth_state, membership: as in `fit_metric_grid`.
        start: blend and even thresholds, each [replica, fold].
        even_range: largest possible unevenness; the blend threshold lies in [0, 1].

    Returns:
        The blend and the even threshold, each [replica, fold]; never worse on these clips than `start`.
    """
    fitted = np.stack(start)  # [axis, replica, fold]
    for replica, fold in np.ndindex(*fitted.shape[1:]):
        chosen = membership[fold]
        one = candidates.replica(replica).clips(chosen)
        everyone = np.ones((1, int(chosen.sum())), np.bool_)
        for axis, (numbers, upper) in enumerate(((one.strength, 1.0), (one.unevenness, even_range))):
            cuts = np.append(fitted[axis, replica, fold], _cuts(numbers, upper))
            pair = [np.full(len(cuts), fitted[other, replica, fold]) for other in range(2)]
            pair[axis] = cuts
            values = _values(metric, task, one, truth_state[chosen], everyone, pair[0], pair[1])[:, 0]
            fitted[axis, replica, fold] = cuts[np.where(np.isnan(values), -np.inf, values).argmax()]
    return fitted[0], fitted[1]


def _values(
    metric: Metric,
    task: Task,
    candidates: Candidates,
    truth_state: Int,
    membership: NDArray[np.bool_],
    blend: NDArray[np.float64],
    even: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[point, fold] values of the metric at thresholds [point]; candidates [clip]."""
    group, member = group_by_folds(membership)
    answers = candidates.answer(blend[:, None], even[:, None])
    totals = metric.totals(task, truth_state, answers, np.eye(member.shape[1])[group])
    return metric.value(np.einsum("fg,pgn->pfn", member, totals))


def _cuts(numbers: Float, upper: float) -> NDArray[np.float64]:
    """At most `MAX_CUTS` values between neighbours of numbers [clip], from 0 to `upper`, both included."""
    inside = numbers[(numbers > 0) & (numbers < upper)]  # nan and -inf are no values of a threshold
    edges = np.unique(np.concatenate([[0.0], inside, [upper]]).astype(np.float64))
    middles = 0.5 * (edges[1:] + edges[:-1])
    chosen = np.unique(np.linspace(0, len(middles) - 1, MAX_CUTS).astype(np.int64))
    return np.concatenate([[0.0], middles[chosen], [upper]])
