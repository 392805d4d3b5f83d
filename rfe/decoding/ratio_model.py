"""How a pair of classes is split: an ordinal model of the task's ratios and its maximum-likelihood fit.

With d = g_a - g_b, the salience logits' difference (and the pair's own term, where a model has one), the ratios'
probabilities are the softmax of

    logit(r) = gamma a_r d + beta_|r|,    a_r = (percent of r - 50) / (largest percent - 50)

an adjacent-category model with one slope (Agresti, Analysis of Ordinal Categorical Data, 2010): the further a ratio
leans, the more the difference speaks for it. beta is the same for r and its mirror image, so that exchanging the
pair's classes exchanges the ratios, and 0 for the outermost. For 70/30, 50/50 and 30/70 it is
softmax(gamma d, beta, -gamma d). The log-likelihood is concave in gamma and beta.
"""

from functools import cache, reduce

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float
from rfe.decoding.newton import Array, Evaluation, maximise
from rfe.decoding.state_model import BIAS_PENALTY, SLOPE_PENALTY, pair_members
from rfe.task import Task


def ratio_evidence(task: Task, salience_logits: Float) -> Array:
    """d = g_a - g_b [..., pair, clip], and the pair's own term where the logits have one."""
    logits = np.moveaxis(salience_logits, -1, -2).astype(np.float64)
    first, second = pair_members(task)
    difference = np.asarray(logits[..., first, :] - logits[..., second, :])
    return difference + logits[..., task.n_classes :, :] if logits.shape[-2] > task.n_classes else difference


def n_levels(task: Task) -> int:
    """How many beta there are: ratios at or above 50, less the outermost.

    Examples:
        >>> from rfe.task import BLEMORE
        >>> n_levels(BLEMORE)
        1
    """
    return (task.n_ratios + 1) // 2 - 1


def fit_ratio(task: Task, difference: Array, truth_ratio: NDArray[np.int64], weight: Array) -> tuple[Array, Array]:
    """Maximum likelihood of the ratio model, on true blends.

    Args:
        task: whose ratios they are; with one or none, nothing is fitted.
        difference: [replica, blend] g_a - g_b of the true pair.
        truth_ratio: [blend] index into the task's ratios.
        weight: [replica, fold, blend] 1 where the clip counts, else 0.

    Returns:
        gamma [replica, fold] and beta [replica, fold, level].
    """
    count = weight.sum(-1)
    if not task.has_ratios:
        return np.zeros_like(count), np.zeros((*count.shape, n_levels(task)))
    lean, level, sides = _leanings(task), _levels(task), _leanings(task)[: n_levels(task) + 1]
    n = 1 + n_levels(task)  # parameters
    spread = np.sqrt((weight * difference[:, None] ** 2).sum(-1) / np.maximum(count, 1.0))
    spread = np.where(spread > 0, spread, 1.0)
    truth_lean = (weight * (difference * lean[truth_ratio])[:, None]).sum(-1) / spread
    truth = np.concatenate([truth_lean[..., None], weight @ level[truth_ratio]], -1)
    scaled = difference[:, None] / spread[..., None]  # [replica, fold, blend]
    penalty = np.array([SLOPE_PENALTY, *[BIAS_PENALTY] * n_levels(task)])
    shape = (*count.shape, n)

    def evaluate(point: Array) -> Evaluation:
        theta = point.reshape(shape)
        bias: list[Array | float] = [0.0, *(theta[..., j, None] for j in range(1, n))]  # the outermost first
        normaliser, right, left = _two_sides(sides, theta[..., :1] * scaled, bias)
        value = (theta * truth).sum(-1) - (weight * normaliser).sum(-1)
        # where 50 is among the ratios, it is the last level, and has one side
        apart = [_times(a, one - other) for a, one, other in zip(sides, right, left, strict=False)]
        both = [one + other for one, other in zip(right, left, strict=False)] + right[len(left) :]
        mean = reduce(np.add, apart) * scaled  # expected gradient with respect to gamma
        square = reduce(np.add, [_times(a**2, one) for a, one in zip(sides, both, strict=True) if a])
        gradient = truth - np.stack([(weight * one).sum(-1) for one in (mean, *both[1:])], -1)
        curvature = np.empty((*count.shape, n, n))
        curvature[..., 0, 0] = (weight * (square * scaled**2 - mean**2)).sum(-1)
        for j in range(1, n):
            cross = -(weight * mean * both[j]).sum(-1)
            cross += (weight * apart[j] * scaled).sum(-1) if sides[j] else 0.0
            curvature[..., 0, j] = curvature[..., j, 0] = cross
            for k in range(1, n):
                curvature[..., j, k] = (weight * both[j] * (float(j == k) - both[k])).sum(-1)
        curvature += np.diag(penalty)
        value -= 0.5 * (penalty * theta**2).sum(-1)
        gradient -= penalty * theta
        return Evaluation(value.reshape(-1), gradient.reshape(-1, n), curvature.reshape(-1, n, n))

    start = np.zeros((count.size, n))
    bounded = np.arange(n) < 1
    best = maximise(evaluate, start, bounded, np.zeros(start.shape, np.bool_)).reshape(shape)
    return best[..., 0] / spread, best[..., 1:]


def ratio_probabilities(task: Task, difference: Array, slope: Array, bias: Array) -> Array:
    """rho [..., clip, pair, ratio].

    Args:
        task: whose ratios they are.
        difference: [..., pair, clip]
        slope: [..., clip or 1]
        bias: [..., clip or 1, level]
    """
    scaled = np.moveaxis(difference, -1, -2) * slope[..., None]
    of_ratio = bias @ _levels(task).T
    logits = np.empty((*scaled.shape, task.n_ratios))
    for ratio, lean in enumerate(_leanings(task)):
        np.multiply(scaled, lean, out=logits[..., ratio])
        if 0 < ratio < task.n_ratios - 1:
            logits[..., ratio] += of_ratio[..., None, ratio]
    logits -= logits.max(-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(-1, keepdims=True)
    return logits


def _two_sides(sides: Array, slope: Array, bias: list[Array | float]) -> tuple[Array, list[Array], list[Array]]:
    """Probabilities of the ratios, level by level: a ratio and its mirror image share most of the work.

    Args:
        sides: [level] a of the ratios at or above 50, the outermost first.
        slope: gamma d [..., blend].
        bias: [level] of [..., 1].

    Returns:
        The log normaliser [..., blend], the probabilities of the ratios at or above 50, and of their mirror images,
        which 50 has not.
    """
    lean = [_times(a, slope) if a else 0.0 for a in sides]
    largest = reduce(
        np.maximum, [np.abs(lean[0]), *(np.abs(one) + by for one, by in zip(lean[1:], bias[1:], strict=True))]
    )
    offset = [by - largest for by in bias]
    right = [np.exp(one + by) for one, by in zip(lean, offset, strict=True)]
    left = [np.exp(by - one) for a, one, by in zip(sides, lean, offset, strict=True) if a]
    total = reduce(np.add, [*right, *reversed(left)])
    for one in (*right, *left):
        one /= total
    return largest + np.log(total), right, left


def _times(factor: float, values: Array) -> Array:
    """The product; the values themselves where the factor is 1, as for most tasks."""
    return values if factor == 1 else factor * values


@cache
def _leanings(task: Task) -> Array:
    """[ratio] a, from 1 for the outermost to -1; 0 for a ratio that is the only one."""
    distance: Array = np.array(task.ratios_percent or (50,)) - 50.0
    return np.asarray(distance / max(distance[0], 1.0))


@cache
def _levels(task: Task) -> Array:
    """[ratio, level] 1 where the ratio or its mirror image has the level's beta; the outermost have none."""
    ratio = np.arange(task.n_ratios)
    inward = np.minimum(ratio, ratio[::-1])
    return np.asarray(inward[:, None] == np.arange(1, n_levels(task) + 1), np.float64)
