"""The distribution over the 36 states: its evidence per clip and its maximum-likelihood fit.

Sets: pi_p(T) = softmax over 16 of (sum_{c in T} l_c - log w_T) / t_p + b_T and pi_s(T) = softmax over 16 of
-min_r KL(y_{T,r} || s) / t_s, fused as pi proportional to pi_p^omega pi_s^(1 - omega). Ratio: with d = g_a - g_b,
rho(70/30, 50/50, 30/70) = softmax(gamma d, beta, -gamma d). Equations ours.

pi is the softmax of `slope_p U_T - slope_s K_T + B_T` with slope_p = omega / t_p, slope_s = (1 - omega) / t_s and
B = omega b: linear in its parameters, so the likelihood is concave and has one maximum. Fitted together, the
temperatures absorb any omega strictly between 0 and 1; omega = 0 or 1 leaves one head out.
"""

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float
from rfe.decoding.newton import Array, Evaluation, maximise
from rfe.labels import N_SETS, PAIRS, SET_MEMBERS

BIAS_PENALTY = 1.0
"""L2 weight of a bias: half the squared bias is subtracted from the log-likelihood of all clips."""
SLOPE_PENALTY = 1e-2
"""L2 weight of a slope in units of the evidence's spread: keeps it finite where the classes are separable."""

_FIRST, _SECOND = (np.array([pair[side] for pair in PAIRS]) for side in (0, 1))
_EVEN_ENTROPY = -np.log(2.0)
_LEANING_ENTROPY = 0.7 * np.log(0.7) + 0.3 * np.log(0.3)


def presence_evidence(presence_logits: Float, set_offset: Float | None) -> Array:
    """U [..., set, clip]: the sum of the members' logits (or the set's own, where these are given), less the log
    class-balance weight [..., clip or 1, set]."""
    logits = np.moveaxis(presence_logits, -1, -2).astype(np.float64)
    evidence = logits if logits.shape[-2] == N_SETS else SET_MEMBERS.astype(np.float64) @ logits
    return evidence if set_offset is None else evidence - np.moveaxis(set_offset, -1, -2)


def salience_evidence(salience_logits: Float) -> Array:
    """-min_r KL(y_{T,r} || s) [..., set, clip], s the softmax of the logits."""
    logits = np.moveaxis(salience_logits, -1, -2).astype(np.float64)
    shifted = logits - logits.max(-2, keepdims=True)
    log_salience = shifted - np.log(np.exp(shifted).sum(-2, keepdims=True))  # [..., emotion, clip]
    first, second = log_salience[..., _FIRST, :], log_salience[..., _SECOND, :]
    # cross-entropy of 50/50 is the mean; a leaning blend gains .2 |difference| over it, in its better direction
    best = np.maximum(-_EVEN_ENTROPY, 0.2 * np.abs(first - second) - _LEANING_ENTROPY)
    return np.concatenate([log_salience, 0.5 * (first + second) + best], -2)


def ratio_evidence(salience_logits: Float) -> Array:
    """d = g_a - g_b [..., pair, clip]."""
    logits = np.moveaxis(salience_logits, -1, -2).astype(np.float64)
    return np.asarray(logits[..., _FIRST, :] - logits[..., _SECOND, :])


def softmax_sets(logits: Array, weight: Array | float = 1.0) -> Array:
    """Turn logits [..., set, clip] into probabilities times weight [..., clip], in place; returns the log normaliser.

    Working in place halves the memory traffic of a fit, which is most of its time.
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
        presence, salience: [replica, set, clip] evidence of the two heads.
        truth_set: [clip].
        weight: [replica, fold, clip] 1 where the clip counts, else 0.
        use: [replica, 2] which of the heads are used.

    Returns:
        Slope of presence and of salience [replica, fold], and biases [replica, fold, set].
    """
    n_replicas, n_folds, n_clips = weight.shape
    spread = np.stack([_spread(evidence, weight) for evidence in (presence, salience)], -1)  # [replica, fold, 2]
    evidence = np.stack([presence, salience], 1)  # [replica, head, set, clip]
    per_clip = np.moveaxis(evidence.reshape(n_replicas, 2, -1), 1, -1)  # [replica, (set, clip), head]
    of_truth = evidence[..., truth_set, np.arange(n_clips)]  # [replica, head, clip]
    truth_sum = (weight @ np.moveaxis(of_truth, 1, -1)) / spread
    truth_count = weight @ np.eye(N_SETS)[truth_set]  # [replica, fold, set]
    penalty = np.r_[SLOPE_PENALTY, SLOPE_PENALTY, np.full(N_SETS, BIAS_PENALTY)]
    scale = np.concatenate([spread, np.ones((n_replicas, n_folds, N_SETS))], -1)
    problems = (n_replicas * n_folds, 2 + N_SETS)
    # [replica, fold, feature, clip] expected features of each clip, 0 where the clip does not count: as weights are
    # 0 or 1, this array times itself is the weighted sum of outer products
    expected = np.empty((n_replicas, n_folds, 2 + N_SETS, n_clips))
    product = np.empty((n_replicas, n_folds, N_SETS, n_clips))

    def evaluate(point: Array) -> Evaluation:
        theta = point.reshape(n_replicas, n_folds, -1)
        slope, bias = theta[..., :2] / spread, theta[..., 2:]
        sets = expected[:, :, 2:]
        np.multiply(presence[:, None], slope[..., 0, None, None], out=sets)
        np.multiply(salience[:, None], slope[..., 1, None, None], out=product)
        sets += product
        sets += bias[..., None]
        normaliser = softmax_sets(sets, weight)
        curvature = np.zeros((n_replicas, n_folds, 2 + N_SETS, 2 + N_SETS))
        set_sum = sets.sum(-1)  # [replica, fold, set]
        diagonal = np.arange(2, 2 + N_SETS)
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

    fixed = np.zeros((n_replicas, n_folds, 2 + N_SETS), np.bool_)
    fixed[..., :2] = ~use[:, None]
    start = np.zeros((n_replicas, n_folds, 2 + N_SETS))
    start[..., :2] = use[:, None]
    frequency = np.log((truth_count + 1.0) / (truth_count + 1.0).sum(-1, keepdims=True))
    start[..., 2:] = frequency - frequency.mean(-1, keepdims=True)
    bounded = np.arange(2 + N_SETS) < 2
    best = maximise(evaluate, start.reshape(problems), bounded, fixed.reshape(problems)).reshape(start.shape)
    slope = best[..., :2] / spread
    return slope[..., 0], slope[..., 1], best[..., 2:]


def fit_ratio(difference: Array, truth_ratio: NDArray[np.int64], weight: Array) -> tuple[Array, Array]:
    """Maximum likelihood of the ratio model, on true blends.

    Args:
        difference: [replica, blend] g_a - g_b of the true pair.
        truth_ratio: [blend] index into `labels.RATIOS`.
        weight: [replica, fold, blend] 1 where the clip counts, else 0.

    Returns:
        gamma and beta [replica, fold].
    """
    direction = 1.0 - truth_ratio  # 70/30: +1, 50/50: 0, 30/70: -1
    count = weight.sum(-1)
    spread = np.sqrt((weight * difference[:, None] ** 2).sum(-1) / np.maximum(count, 1.0))
    spread = np.where(spread > 0, spread, 1.0)
    truth = np.stack([(weight * (difference * direction)[:, None]).sum(-1) / spread, weight @ (truth_ratio == 1)], -1)
    scaled = difference[:, None] / spread[..., None]  # [replica, fold, blend]
    penalty = np.array([SLOPE_PENALTY, BIAS_PENALTY])
    shape = (*count.shape, 2)

    def evaluate(point: Array) -> Evaluation:
        theta = point.reshape(shape)
        logit = theta[..., :1] * scaled
        even = np.broadcast_to(theta[..., 1:], logit.shape)
        largest = np.maximum(np.abs(logit), even)
        up, middle, down = np.exp(logit - largest), np.exp(even - largest), np.exp(-logit - largest)
        total = up + middle + down
        up, middle, down = up / total, middle / total, down / total
        value = (theta * truth).sum(-1) - (weight * (largest + np.log(total))).sum(-1)
        lean = (up - down) * scaled  # expected gradient with respect to gamma
        gradient = truth - np.stack([(weight * lean).sum(-1), (weight * middle).sum(-1)], -1)
        slope = (weight * ((up + down) * scaled**2 - lean**2)).sum(-1)
        cross = -(weight * lean * middle).sum(-1)
        level = (weight * middle * (1 - middle)).sum(-1)
        curvature = np.stack([np.stack([slope, cross], -1), np.stack([cross, level], -1)], -2) + np.diag(penalty)
        value -= 0.5 * (penalty * theta**2).sum(-1)
        gradient -= penalty * theta
        return Evaluation(value.reshape(-1), gradient.reshape(-1, 2), curvature.reshape(-1, 2, 2))

    start = np.zeros((count.size, 2))
    bounded = np.array([True, False])
    best = maximise(evaluate, start, bounded, np.zeros(start.shape, np.bool_)).reshape(shape)
    return best[..., 0] / spread, best[..., 1]


def _spread(evidence: Array, weight: Array) -> Array:
    """[replica, fold] root mean square of the evidence around each clip's mean over sets; 1 where it is constant."""
    within = evidence.var(-2)  # [replica, clip]
    total = (within[:, None] * weight).sum(-1) / np.maximum(weight.sum(-1), 1.0)
    return np.where(total > 0, np.sqrt(total), 1.0)


def ratio_probabilities(difference: Array, slope: Array, middle: Array) -> Array:
    """rho [..., clip, pair, ratio] for differences [..., pair, clip] and parameters [..., clip or 1]."""
    lean = np.moveaxis(difference, -1, -2) * slope[..., None]
    logits = np.stack([lean, np.broadcast_to(middle[..., None], lean.shape), -lean], -1)
    logits -= logits.max(-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(-1, keepdims=True)
    return logits
