"""Stacked weights: those under which the average of out-of-fold probabilities is nearest to the truth."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

STEPS = 200
TINY = float(np.finfo(np.float32).tiny)


def least_squares_weights(probabilities: NDArray[np.floating[Any]], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """[candidate] non-negative weights of the least squared distance to the truth's indicator, scaled to sum 1.

    Args:
        probabilities: [candidate, clip, outcome].
        truth: [clip] the true outcome.

    Source: Breiman, "Stacked regressions", Machine Learning 1996.

    Examples:
        >>> good, uniform = np.eye(2)[[0, 1, 0]], np.full((3, 2), 0.5)
        >>> least_squares_weights(np.stack([good, uniform]), np.array([0, 1, 0])).round(3).tolist()
        [1.0, 0.0]
    """
    n_outcomes = probabilities.shape[-1]
    design = np.asarray(probabilities, np.float64).reshape(len(probabilities), -1).T  # [clip * outcome, candidate]
    target = np.eye(n_outcomes)[truth].reshape(-1, 1)
    # the same problem in as many rows as there are candidates, and one
    triangle = np.asarray(np.linalg.qr(np.hstack([design, target]), mode="r"))
    weights, _ = nnls(triangle[:, :-1], triangle[:, -1])
    total = weights.sum()
    return np.asarray(weights / total if total > 0 else np.full(len(weights), 1 / len(weights)))


def likeliest_weights(likelihood: NDArray[np.float64]) -> NDArray[np.float64]:
    """[candidate] weights of the mixture that makes the truth likeliest, by expectation maximisation (convex).

    Args:
        likelihood: [candidate, clip] of the truth.

    Source: stacking of predictive distributions by the logarithmic score, Yao et al., Bayesian Analysis 2018.

    Examples:
        >>> likeliest_weights(np.array([[0.9, 0.8], [0.1, 0.2]])).round(3).tolist()
        [1.0, 0.0]
    """
    weights = np.full(len(likelihood), 1 / len(likelihood))
    for _ in range(STEPS):
        joint = weights[:, None] * np.maximum(likelihood, TINY)
        weights = (joint / joint.sum(0)).mean(1)
    return weights
