"""Stacked weights are the planted ones."""

import numpy as np

from rfe.ensemble.stacking import least_squares_weights, likeliest_weights

PLANTED = np.array([0.7, 0.0, 0.3])


def draw() -> tuple[np.ndarray, np.ndarray]:
    """Three candidates [candidate, clip, outcome], and outcomes drawn of their planted average."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(4, 0.3), (3, 20_000))
    mixed = np.einsum("m,mct->ct", PLANTED, probabilities)
    return probabilities, (mixed.cumsum(1) > rng.random((len(mixed), 1))).argmax(1)


def test_least_squares_finds_the_weights_that_made_the_truth() -> None:
    np.testing.assert_allclose(least_squares_weights(*draw()), PLANTED, atol=0.02)


def test_so_does_the_likeliest_mixture() -> None:
    probabilities, truth = draw()
    likelihood = probabilities[:, np.arange(len(truth)), truth]
    np.testing.assert_allclose(likeliest_weights(likelihood), PLANTED, atol=0.02)


def test_nothing_to_learn_from_is_an_even_share() -> None:
    nothing = np.zeros((2, 5, 3))
    np.testing.assert_array_equal(least_squares_weights(nothing, np.zeros(5, np.int64)), [0.5, 0.5])
