"""Damped Newton ascent on many small concave problems at once, with lower bounds of 0 on some parameters."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

Array = NDArray[np.float64]

DECREMENT = 1e-9
"""A problem is solved when one more full step would gain less than this (in nats of the whole likelihood)."""
MAX_EVALUATIONS = 100


class Evaluation(NamedTuple):
    """A concave objective at one point of every problem."""

    value: Array
    """[problem]"""
    gradient: Array
    """[problem, parameter]"""
    curvature: Array
    """[problem, parameter, parameter] minus the Hessian, positive definite."""


def maximise(
    evaluate: Callable[[Array], Evaluation], start: Array, bounded: NDArray[np.bool_], fixed: NDArray[np.bool_]
) -> Array:
    """The maximum of every problem (projected Newton with step halving).

    A problem's path depends on nothing but itself: solved ones stand still while the others go on.

    Args:
        evaluate: objective, gradient and curvature at points [problem, parameter].
        start: [problem, parameter], within the bounds.
        bounded: [parameter] must stay at or above 0.
        fixed: [problem, parameter] stays where it starts.

    Returns:
        [problem, parameter]
    """
    point, trial = start, start
    value = np.full(len(start), -np.inf)
    step = np.zeros_like(start)
    scale = np.ones(len(start))
    solved = np.zeros(len(start), np.bool_)
    # Its products are small: on busy cores BLAS threads only wait for one another.
    with _libraries().limit(limits=1, user_api="blas"):
        for _ in range(MAX_EVALUATIONS):
            at = evaluate(trial)
            better = (at.value >= value - 1e-12 * np.abs(value)) & ~solved
            new_step, gain = _newton_step(at, trial, bounded, fixed)
            point = np.where(better[:, None], trial, point)
            value = np.where(better, at.value, value)
            step = np.where(better[:, None], new_step, step)
            scale = np.where(better, 1.0, 0.5 * scale)
            last = better & (gain < DECREMENT)  # take this one full step, then stand still: quadratic convergence
            solved = solved | last | (scale < 1e-8)
            trial = np.where(bounded, np.maximum(point + scale[:, None] * step, 0.0), point + scale[:, None] * step)
            point = np.where(last[:, None], trial, point)
            if solved.all():
                break
    return point


@cache
def _libraries() -> ThreadpoolController:
    """Finding them takes milliseconds, as long as a fit."""
    return ThreadpoolController()


def _newton_step(
    at: Evaluation, point: Array, bounded: NDArray[np.bool_], fixed: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Newton step [problem, parameter] among the parameters that may move, and half its decrement [problem]."""
    held = fixed | (bounded & (point <= 0) & (at.gradient <= 0))
    gradient = np.where(held, 0.0, at.gradient)
    free = ~held
    curvature = np.where(free[:, :, None] & free[:, None, :], at.curvature, np.eye(point.shape[1]))
    step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
    return step, 0.5 * (step * gradient).sum(-1)
