"""Newton's method on many problems at once, on one BLAS thread."""

import numpy as np
from threadpoolctl import threadpool_info

from rfe.decoding.newton import Array, Evaluation, maximise

CENTRE = np.array([[1.0, -2.0], [0.5, 3.0]])


def parabola(point: Array) -> Evaluation:
    """Two problems, each with its maximum at its centre."""
    away = point - CENTRE
    return Evaluation(-0.5 * (away**2).sum(-1), -away, np.broadcast_to(np.eye(2), (2, 2, 2)))


def test_the_maximum_within_bounds() -> None:
    nothing = np.zeros((2, 2), np.bool_)
    free = maximise(parabola, np.zeros((2, 2)), np.array([False, False]), nothing)
    np.testing.assert_allclose(free, CENTRE, atol=1e-9)
    bounded = maximise(parabola, np.zeros((2, 2)), np.array([False, True]), nothing)
    np.testing.assert_allclose(bounded, np.maximum(CENTRE, [-np.inf, 0.0]), atol=1e-9)
    fixed = maximise(parabola, np.zeros((2, 2)), np.array([False, False]), np.array([[True, False], [False, False]]))
    assert fixed[0, 0] == 0


def test_blas_does_not_wait_for_threads() -> None:
    seen = []

    def evaluate(point: Array) -> Evaluation:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return parabola(point)

    maximise(evaluate, np.zeros((2, 2)), np.array([False, False]), np.zeros((2, 2), np.bool_))
    assert seen
    assert set(seen) == {1}


def flat_far_away(point: Array) -> Evaluation:
    """-log cosh: full steps from far away lead past the maximum, and one step is not enough."""
    away = point - CENTRE
    steepness = np.tanh(away)
    curvature = (1 - steepness**2)[..., None] * np.eye(2)
    return Evaluation(-np.log(np.cosh(away)).sum(-1), -steepness, curvature)


def test_steps_that_lead_too_far_are_halved_until_the_maximum_is_reached() -> None:
    """On a parabola, which one step solves, a criterion of any size passed."""
    nothing = np.zeros((2, 2), np.bool_)
    for start in (CENTRE + 2, CENTRE - [0.6, 1.5]):
        found = maximise(flat_far_away, start, np.array([False, False]), nothing)
        np.testing.assert_allclose(found, CENTRE, atol=1e-6)
