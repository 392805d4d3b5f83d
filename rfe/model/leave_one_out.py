"""Answers of a kernel ridge to its training clips as if each had been left out, without a further fit.

With A = (K + lambda W^-1)^-1, W the clips' class-balance weights and Y their targets, less the weighted mean:

    f_-i(x_i) = y_i - (A Y)_i / A_ii

A row without kernel (a clip that lacks the encoder) is answered with the mean, as it would be when it is new.

Source: Golub, Heath and Wahba, Technometrics 1979.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import strtri

from rfe.model.fitted import FLOOR, Float32, Float64


def log_shares(scores: Float64) -> Float64:
    """Logarithms of scores, clipped from below at `FLOOR`, as shares of the last axis.

    Examples:
        >>> np.exp(log_shares(np.array([[3.0, 1.0]]))).tolist()
        [[0.75, 0.25]]
    """
    clipped = np.maximum(scores, FLOOR)
    shares: Float64 = np.log(clipped / clipped.sum(-1, keepdims=True))
    return shares


def leave_one_out(
    kernel: Float32, targets: Float64, mean: Float64, weight: Float32, penalty: float
) -> tuple[Float32, Float64]:
    """(coefficients, leave-one-out answers), both [clip, target].

    One Cholesky factorisation a lambda: an eigendecomposition, which would serve all, takes as long as seven or eight.

    Args:
        kernel: [clip, clip], its lower triangle.
        targets: [clip, target].
        mean: [target].
        weight: [clip].
        penalty: lambda.
    """
    shifted = kernel.copy()
    shifted[np.diag_indices_from(shifted)] += np.float32(penalty) / weight
    # .T is in LAPACK's order, so that nothing is copied; its upper triangle is our lower one.
    factor = cho_factor(shifted.T, lower=False, overwrite_a=True, check_finite=False)
    coefficients = cho_solve(factor, (targets - mean).astype(np.float32), check_finite=False)
    inverse, _ = strtri(factor[0], lower=0, overwrite_c=1)  # of the factor; A is this one times its transpose
    diagonal = np.array([np.dot(row[start:], row[start:]) for start, row in enumerate(inverse)])
    # LAPACK's order of columns would be written to a file as another matrix.
    return np.ascontiguousarray(coefficients), targets - coefficients / diagonal[:, None].astype(np.float64)


def choose_penalty(
    kernel: Float32,
    targets: Float64,
    mean: Float64,
    weight: Float32,
    there: NDArray[np.bool_],
    n_sets: int,
    penalties: Sequence[float],
) -> tuple[Float32, Float64]:
    """What `leave_one_out` returns for the lambda whose answers have the highest likelihood of the true sets.

    Args:
        kernel: see `leave_one_out`.
        targets: [clip, set and class].
        mean: [set and class].
        weight: [clip].
        there: [clip] whose likelihood counts.
        n_sets: of the task.
        penalties: the lambdas; of equally likely ones the first.
    """

    def likelihood(found: tuple[Any, Float64]) -> float:
        sets = log_shares(found[1][:, :n_sets])
        return float((weight[:, None] * targets[:, :n_sets] * sets)[there].sum())

    return max((leave_one_out(kernel, targets, mean, weight, one) for one in penalties), key=likelihood)
