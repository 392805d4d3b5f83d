"""The distribution over a task's states: its evidence per clip and the maximum-likelihood fit of its sets.

pi_p(T) = softmax over sets of (sum_{c in T} l_c - log w_T) / t_p + b_T and pi_s(T) = softmax over sets of
-min_r KL(y_{T,r} || s) / t_s, fused as pi proportional to pi_p^omega pi_s^(1 - omega), over the sets that a clip can
show. How a pair is split is in `ratio_model`. Equations ours.

pi is the softmax of `slope_p U_T - slope_s K_T + B_T` with slope_p = omega / t_p, slope_s = (1 - omega) / t_s and
B = omega b: linear in its parameters, so the likelihood is concave and has one maximum. Fitted together, the
temperatures absorb any omega strictly between 0 and 1; omega = 0 or 1 leaves one head out.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float
from rfe.decoding.newton import Array, Evaluation, maximise
from rfe.task import Task

BIAS_PENALTY = 1.0
"""L2 weight of a bias: half the squared bias is subtracted from the log-likelihood of all clips."""
SLOPE_PENALTY = 1e-2
"""L2 weight of a slope in units of the evidence's spread: keeps it finite where the classes are separable."""


def presence_evidence(task: Task, presence_logits: Float, set_offset: Float | None) -> Array:
    """U [..., set, clip]: the sum of the members' logits (or the set's own, where these are given), less the log
    class-balance weight [..., clip or 1, set]."""
    logits = np.moveaxis(presence_logits, -1, -2).astype(np.float64)
    evidence = logits if logits.shape[-2] == task.n_sets else task.set_members.astype(np.float64) @ logits
    return evidence if set_offset is None else evidence - np.moveaxis(set_offset, -1, -2)


def salience_evidence(task: Task, salience_logits: Float) -> Array:
    """-min_r KL(y_{T,r} || s) [..., set, clip], s the softmax of the classes' logits and r the task's ratios."""
    logits = np.moveaxis(salience_logits[..., : task.n_classes], -1, -2).astype(np.float64)
    shifted = logits - logits.max(-2, keepdims=True)
    log_salience = shifted - np.log(np.exp(shifted).sum(-2, keepdims=True))  # [..., class, clip]
    if not task.n_pairs:
        return np.asarray(log_salience)
    first, second = (log_salience[..., members, :] for members in pair_members(task))
    # cross-entropy of 50/50 is the mean; x/(1 - x) gains (x - 1/2) |difference| over it, in its better direction
    distance = np.abs(first - second)
    percents = task.ratios_percent or (50,)
    best: Array | float = np.log(2.0) if 50 in percents else -np.inf
    for percent in (percent for percent in percents if percent > 50):
        larger, smaller = percent / 100, (100 - percent) / 100
        entropy = larger * np.log(larger) + smaller * np.log(smaller)
        best = np.maximum(best, (percent - 50) / 100 * distance - entropy)
    return np.concatenate([log_salience, 0.5 * (first + second) + best], -2)


@cache
def pair_members(task: Task) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[pair] the first and the second class of each pair.

    Examples:
        >>> first, second = pair_members(Task("abc", ("a", "b", "c"), pairs=((0, 1), (0, 2))))
        >>> first.tolist(), second.tolist()
        ([0, 0], [1, 2])
    """
    first, second = np.array(task.pairs, np.int64).reshape(-1, 2).T
    return first, second


def softmax_sets(logits: Array, weight: Array | float = 1.0) -> Array:
    """Turn logits [..., set, clip] into probabilities times weight [..., clip], in place; returns the log normaliser.

    Working in place halves the memory traffic of a fit, which is most of its time.

    Examples:
        >>> logits = np.log(np.array([[1.0], [3.0]]))
        >>> normaliser = softmax_sets(logits)
        >>> logits.round(3).tolist(), float(np.exp(normaliser[0]).round(3))
        ([[0.25], [0.75]], 4.0)
    """
    largest = logits.max(-2)
    logits -= largest[..., None, :]
    np.exp(logits, out=logits)
    total = logits.sum(-2)
    logits *= (weight / total)[..., None, :]
    return np.asarray(largest + np.log(total))


def fit_sets(
    presence: Array, salience: Array, truth_set: NDArray[np.int64], weight: Array, use: NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """Maximum likelihood of the set model.

    Args:
        presence, salience: [replica, set, clip] evidence of the two heads, of the sets that a clip can show.
        truth_set: [clip] among them.
        weight: [replica, fold, clip] 1 where the clip counts, else 0.
        use: [replica, 2] which of the heads are used.

    Returns:
        Slope of presence and of salience [replica, fold], and biases [replica, fold, set].
    """
    n_replicas, n_folds, n_clips = weight.shape
    n_sets = presence.shape[1]
    spread = np.stack([_spread(evidence, weight) for evidence in (presence, salience)], -1)  # [replica, fold, 2]
    evidence = np.stack([presence, salience], 1)  # [replica, head, set, clip]
    per_clip = np.moveaxis(evidence.reshape(n_replicas, 2, -1), 1, -1)  # [replica, (set, clip), head]
    of_truth = evidence[..., truth_set, np.arange(n_clips)]  # [replica, head, clip]
    truth_sum = (weight @ np.moveaxis(of_truth, 1, -1)) / spread
    truth_count = weight @ np.eye(n_sets)[truth_set]  # [replica, fold, set]
    penalty = np.r_[SLOPE_PENALTY, SLOPE_PENALTY, np.full(n_sets, BIAS_PENALTY)]
    scale = np.concatenate([spread, np.ones((n_replicas, n_folds, n_sets))], -1)
    problems = (n_replicas * n_folds, 2 + n_sets)
    # [replica, fold, feature, clip] expected features of each clip, 0 where the clip does not count: as weights are
    # 0 or 1, this array times itself is the weighted sum of outer products
    expected = np.empty((n_replicas, n_folds, 2 + n_sets, n_clips))
    product = np.empty((n_replicas, n_folds, n_sets, n_clips))

    def evaluate(point: Array) -> Evaluation:
        theta = point.reshape(n_replicas, n_folds, -1)
        slope, bias = theta[..., :2] / spread, theta[..., 2:]
        sets = expected[:, :, 2:]
        np.multiply(presence[:, None], slope[..., 0, None, None], out=sets)
        np.multiply(salience[:, None], slope[..., 1, None, None], out=product)
        sets += product
        sets += bias[..., None]
        normaliser = softmax_sets(sets, weight)
        curvature = np.zeros((n_replicas, n_folds, 2 + n_sets, 2 + n_sets))
        set_sum = sets.sum(-1)  # [replica, fold, set]
        diagonal = np.arange(2, 2 + n_sets)
        curvature[..., diagonal, diagonal] = set_sum
        for head in range(2):
            np.multiply(sets, evidence[:, None, head], out=product)
            product.sum(-2, out=expected[:, :, head])
            curvature[..., head, 2:] = curvature[..., 2:, head] = product.sum(-1)
            curvature[..., head, :2] = product.reshape(n_replicas, n_folds, -1) @ per_clip
        total = np.concatenate([curvature[..., :2, 2:].sum(-1) / spread, set_sum], -1)  # of expected features
        curvature -= expected @ np.swapaxes(expected, -1, -2)
        curvature /= scale[..., None] * scale[..., None, :]
        curvature += np.diag(penalty)
        truth = np.concatenate([truth_sum, truth_count], -1)
        value = (theta * truth).sum(-1) - (normaliser * weight).sum(-1) - 0.5 * (penalty * theta**2).sum(-1)
        gradient = truth - total - penalty * theta
        return Evaluation(value.reshape(-1), gradient.reshape(problems), curvature.reshape(*problems, problems[1]))

    fixed = np.zeros((n_replicas, n_folds, 2 + n_sets), np.bool_)
    fixed[..., :2] = ~use[:, None]
    start = np.zeros((n_replicas, n_folds, 2 + n_sets))
    start[..., :2] = use[:, None]
    frequency = np.log((truth_count + 1.0) / (truth_count + 1.0).sum(-1, keepdims=True))
    start[..., 2:] = frequency - frequency.mean(-1, keepdims=True)
    bounded = np.arange(2 + n_sets) < 2
    best = maximise(evaluate, start.reshape(problems), bounded, fixed.reshape(problems)).reshape(start.shape)
    slope = best[..., :2] / spread
    return slope[..., 0], slope[..., 1], best[..., 2:]


def _spread(evidence: Array, weight: Array) -> Array:
    """[replica, fold] root mean square of the evidence around each clip's mean over sets; 1 where it is constant."""
    within = evidence.var(-2)  # [replica, clip]
    total = (within[:, None] * weight).sum(-1) / np.maximum(weight.sum(-1), 1.0)
    return np.where(total > 0, np.sqrt(total), 1.0)
