"""Distributions of several models as one, and their parts."""

import numpy as np

from rfe.ensemble.mixing import mix_states, split_probabilities
from rfe.metrics.metric import set_probabilities
from rfe.task import BLEMORE


def test_mixing_is_an_average_unless_the_heads_are_weighted_apart() -> None:
    rng = np.random.default_rng(0)
    states = [rng.dirichlet(np.ones(BLEMORE.n_states), 5) for _ in range(3)]
    weights = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(
        mix_states(BLEMORE, states, weights, weights), sum(w * s for w, s in zip(weights, states, strict=True))
    )
    apart = mix_states(BLEMORE, states, weights, np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(apart.sum(-1), 1)
    np.testing.assert_allclose(
        set_probabilities(BLEMORE, apart), set_probabilities(BLEMORE, mix_states(BLEMORE, states, weights, weights))
    )
    ratios = apart[:, 6:].reshape(5, 10, 3)
    third = states[2][:, 6:].reshape(5, 10, 3)
    np.testing.assert_allclose(ratios / ratios.sum(-1, keepdims=True), third / third.sum(-1, keepdims=True))


def test_ratios_of_a_pair_are_what_its_states_say() -> None:
    states = np.random.default_rng(0).dirichlet(np.ones(BLEMORE.n_states), (2, 5))
    pair = np.array([0, 9, 3, 3, 1])
    ratios = split_probabilities(BLEMORE, states, pair)
    np.testing.assert_allclose(ratios.sum(-1), 1)
    three = states[1, 2, 6 + 9 : 6 + 12]
    np.testing.assert_allclose(ratios[1, 2], three / three.sum())
