"""Validators on cases whose answer is known."""

import numpy as np
import pytest

from rfe.metrics.score import score
from rfe.metrics.validators import deep_embedded_validation, information_maximisation, soft_neighborhood_density
from rfe.task import BLEMORE


def test_information_is_maximal_for_sure_and_varied_answers() -> None:
    sure = np.eye(6)[np.arange(60) % 6]
    assert information_maximisation(sure) == pytest.approx(np.log(6))
    assert information_maximisation(np.eye(6)[np.zeros(60, int)]) == pytest.approx(0)  # sure, but always the same
    assert information_maximisation(np.full((60, 6), 1 / 6)) == pytest.approx(0)  # varied, but never sure


def test_density_counts_the_neighbours_of_a_clip() -> None:
    groups = np.eye(6)[np.arange(60) % 6]
    assert soft_neighborhood_density(groups) == pytest.approx(np.log(9), abs=1e-4)  # nine others in each group
    scattered = np.random.default_rng(0).dirichlet(np.full(6, 0.3), 60)
    assert soft_neighborhood_density(scattered) < soft_neighborhood_density(groups)


def clips(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """States, and answers that are right half of the time."""
    truth = rng.integers(0, BLEMORE.n_states, n)
    return truth, np.where(rng.random(n) < 0.5, truth, (truth + 7) % BLEMORE.n_states)


def test_without_a_shift_the_estimate_is_the_score_itself() -> None:
    rng = np.random.default_rng(1)
    truth, answered = clips(3000, rng)
    features = rng.normal(size=(6000, 4))
    estimate = deep_embedded_validation(BLEMORE, features[:3000], features[3000:], truth, answered)
    assert estimate == pytest.approx(score(BLEMORE, truth, answered).score, abs=0.01)


def test_under_a_shift_the_estimate_follows_the_target() -> None:
    """Answers are right only where the first feature is positive, and nearly all target clips are there."""
    rng = np.random.default_rng(2)
    truth = rng.integers(0, BLEMORE.n_states, 4000)
    side = rng.random(4000) < 0.5
    features = np.where(side, 1.0, -1.0)[:, None] + 0.3 * rng.normal(size=(4000, 1))
    answered = np.where(side, truth, (truth + 7) % BLEMORE.n_states)
    target = np.where(rng.random(4000) < 0.9, 1.0, -1.0)[:, None] + 0.3 * rng.normal(size=(4000, 1))
    estimate = deep_embedded_validation(BLEMORE, features, target, truth, answered)
    assert score(BLEMORE, truth, answered).score == pytest.approx(0.5, abs=0.03)
    assert estimate == pytest.approx(0.9, abs=0.05)


def test_without_a_blend_there_is_no_score() -> None:
    rng = np.random.default_rng(3)
    truth = np.flatnonzero(~BLEMORE.state_is_blend)[rng.integers(0, 6, 50)]
    assert np.isnan(deep_embedded_validation(BLEMORE, rng.normal(size=(50, 2)), rng.normal(size=(50, 2)), truth, truth))


def test_density_is_the_mean_entropy_over_the_other_clips() -> None:
    values = np.random.default_rng(4).dirichlet(np.ones(6), 5)
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    expected = []
    for clip in range(5):
        others = np.exp(np.delete(unit @ unit[clip], clip) / 0.05)
        others /= others.sum()
        expected.append(-(others * np.log(others)).sum())
    assert soft_neighborhood_density(values, 0.05) == pytest.approx(np.mean(expected))


def test_the_estimate_does_not_depend_on_a_features_unit() -> None:
    rng = np.random.default_rng(5)
    truth, answered = clips(300, rng)
    features = rng.normal(size=(600, 4)) + np.repeat([0.0, 0.3], 300)[:, None]
    in_metres, in_millimetres = (
        deep_embedded_validation(BLEMORE, unit * features[:300], unit * features[300:], truth, answered)
        for unit in (1.0, 1000.0)
    )
    assert in_millimetres == pytest.approx(in_metres)


def test_weights_that_are_all_alike_correct_nothing() -> None:
    rng = np.random.default_rng(6)
    truth, answered = clips(400, rng)
    where = np.zeros((400, 1))
    estimate = deep_embedded_validation(BLEMORE, where, where + 1.0, truth, answered)
    weight = estimate / score(BLEMORE, truth, answered).score
    assert 0 <= weight < 0.2  # no clip looks like a target clip
