"""The ordinal model of a pair's ratios, for any grid."""

import numpy as np
import pytest
from scipy.optimize import minimize

from rfe.decoding.ratio_model import fit_ratio, n_levels, ratio_probabilities
from rfe.decoding.state_model import BIAS_PENALTY
from rfe.decoding.valid_states import ValidStatesDecoder, ValidStatesParameters
from rfe.task import BLEMORE, Task
from tests.tasks import COMPOUND, EIGHT, HALF_ALONE, PLAIN, TASKS, TWO_WAYS, WIDE_RATIOS
from tests.unit.decoding.outputs import draw_outputs, draw_truth

WITH_RATIOS = pytest.mark.parametrize("task", [BLEMORE, EIGHT, HALF_ALONE, TWO_WAYS, WIDE_RATIOS], ids=lambda t: t.name)


def draw(task: Task, n_blends: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """(difference [blend], true ratio [blend]), the one following the other through noise."""
    rng = np.random.default_rng(3)
    ratio = rng.integers(0, task.n_ratios, n_blends)
    return 4 * (np.array(task.ratios)[ratio] - 0.5) + rng.normal(0, 0.7, n_blends), ratio


@WITH_RATIOS
def test_exchanging_the_classes_exchanges_the_ratios(task: Task) -> None:
    difference, ratio = draw(task)
    weight = np.ones((1, 1, len(ratio)))
    slope, bias = fit_ratio(task, difference[None], ratio, weight)
    other_slope, other_bias = fit_ratio(task, -difference[None], task.n_ratios - 1 - ratio, weight)
    assert slope.item() > 0
    np.testing.assert_allclose(slope, other_slope, rtol=1e-9)
    np.testing.assert_allclose(bias, other_bias, rtol=1e-9, atol=1e-12)
    d = np.linspace(-3, 3, 7)[None]  # [pair, clip]
    there, back = (ratio_probabilities(task, sign * d, slope[0], bias[0]) for sign in (1, -1))
    np.testing.assert_allclose(there, back[..., ::-1], rtol=1e-12)
    np.testing.assert_allclose(there.sum(-1), 1)


@WITH_RATIOS
def test_a_larger_difference_leans_further(task: Task) -> None:
    difference, ratio = draw(task)
    slope, bias = fit_ratio(task, difference[None], ratio, np.ones((1, 1, len(ratio))))
    probabilities = ratio_probabilities(task, np.linspace(-5, 5, 101)[None], slope[0], bias[0])[:, 0]  # [clip, ratio]
    expected = probabilities @ np.array(task.ratios)
    assert (np.diff(expected) > 0).all()
    assert bias.shape[-1] == n_levels(task)


@WITH_RATIOS
def test_the_fit_is_the_maximum_of_the_likelihood(task: Task) -> None:
    difference, ratio = draw(task)
    slope, bias = fit_ratio(task, difference[None], ratio, np.ones((1, 1, len(ratio))))

    def loss(theta: np.ndarray) -> float:
        rho = ratio_probabilities(task, difference[None], theta[:1], theta[None, 1:])[:, 0]
        return float(-np.log(rho[np.arange(len(ratio)), ratio]).sum() + 0.5 * BIAS_PENALTY * (theta[1:] ** 2).sum())

    at_fit = np.r_[slope.item(), bias[0, 0]]
    best = minimize(loss, np.r_[1.0, np.zeros(n_levels(task))], bounds=[(0, None), *[(None, None)] * n_levels(task)])
    assert best.fun >= loss(at_fit) - 0.02  # the slope's tiny penalty is not in `loss`


def test_for_70_50_30_it_is_one_softmax_of_three() -> None:
    d, slope, bias = np.linspace(-2, 2, 5), np.array([1.3]), np.array([[0.4]])
    logits = np.stack([1.3 * d, np.full(5, 0.4), -1.3 * d], -1)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(ratio_probabilities(BLEMORE, d[None], slope, bias)[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("task", [COMPOUND, PLAIN], ids=lambda t: t.name)
def test_without_ratios_nothing_is_fitted_and_a_pair_is_one_state(task: Task) -> None:
    slope, bias = fit_ratio(task, np.ones((2, 5)), np.zeros(5, np.int64), np.ones((2, 3, 5)))
    assert (slope == 0).all()
    assert bias.shape == (2, 3, 0)
    rho = ratio_probabilities(task, np.ones((task.n_pairs, 5)), np.zeros(1), np.zeros((1, 0)))
    assert rho.shape == (5, task.n_pairs, 1)
    assert (rho == 1).all()


def test_parameters_of_earlier_versions_are_read() -> None:
    truth = draw_truth(200)
    outputs, decoder = draw_outputs(truth, (2,)), ValidStatesDecoder(BLEMORE)
    fitted = decoder.fit(outputs, truth)
    former = fitted.to_dict()
    former["ratio_even"] = fitted.ratio_bias[..., 0].tolist()
    del former["ratio_bias"]
    read = ValidStatesParameters.from_dict(former)
    np.testing.assert_array_equal(decoder.decode(outputs, read), decoder.decode(outputs, fitted))
    alone = ValidStatesParameters.from_dict({**fitted.at(0).to_dict(), "ratio_even": float(fitted.ratio_bias[0, 0])})
    np.testing.assert_array_equal(alone.ratio_bias, fitted.ratio_bias[0])


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_parameters_have_one_bias_a_level(task: Task) -> None:
    truth = draw_truth(60, task=task)
    fitted = ValidStatesDecoder(task).fit(draw_outputs(truth, (2,), task=task), truth)
    assert fitted.ratio_bias.shape == (2, len({abs(p - 50) for p in task.ratios_percent or (50,)}) - 1)
