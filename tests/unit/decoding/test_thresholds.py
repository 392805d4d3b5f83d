"""Official and decoupled decoding: the rule itself, and both ways to fit it against a search over everything."""

import numpy as np
import pytest
from numpy.typing import NDArray

from rfe.decoding.base import Float, Outputs
from rfe.decoding.candidates import group_by_folds
from rfe.decoding.decoupled import DecoupledDecoder, presence_probabilities
from rfe.decoding.fitting import crossfit_decode, official_decode
from rfe.decoding.official import OfficialDecoder, two_largest
from rfe.decoding.thresholds import ThresholdDecoder, ThresholdParameters
from rfe.metrics.score import fold_totals, score
from rfe.task import BLEMORE
from tests.unit.decoding.outputs import draw_outputs, draw_truth

DECODERS = [OfficialDecoder, DecoupledDecoder]
both = pytest.mark.parametrize("decoder_class", DECODERS)


def at(blend: float, even: float) -> ThresholdParameters:
    return ThresholdParameters(np.asarray(blend), np.asarray(even))


def scores_at(
    decoder: ThresholdDecoder,
    outputs: Outputs,
    truth: NDArray[np.int64],
    blend: Float,
    even: Float,
) -> NDArray[np.float64]:
    """[blend * even] Score of every pair of thresholds, each decoded in full."""
    pairs = ThresholdParameters(np.repeat(blend, len(even)), np.tile(even, len(blend)))
    shape = (len(pairs.blend), *outputs.fused.shape)
    parts = (outputs.presence_logits, outputs.salience_logits, outputs.fused)
    repeated = Outputs(*(np.broadcast_to(part, shape) for part in parts))
    return fold_totals(BLEMORE, truth, decoder.decode(repeated, pairs), np.zeros(len(truth), np.int64)).score


def decode_by_hand(probabilities: NDArray[np.float64], alpha: float, beta: float) -> int:
    """The organisers' rule as it is told."""
    first, second = np.argsort(-probabilities, kind="stable")[:2]
    if probabilities[first] < alpha or probabilities[second] < alpha or 5 in (first, second):
        return int(first)
    if abs(probabilities[first] - probabilities[second]) <= beta:
        return BLEMORE.state_index({BLEMORE.classes[first]: 50, BLEMORE.classes[second]: 50})
    return BLEMORE.state_index({BLEMORE.classes[first]: 70, BLEMORE.classes[second]: 30})


def test_official_rule_told_clip_by_clip() -> None:
    rng = np.random.default_rng(0)
    probabilities = np.concatenate([rng.dirichlet(np.full(6, 0.7), 300), rng.multinomial(6, np.ones(6) / 6, 300) / 6])
    for alpha, beta in ((0.05, 0.05), (0.2, 0.15), (1 / 6, 1 / 6), (0.4, 0.1), (0.95, 0.95)):
        predicted = OfficialDecoder(BLEMORE).decode(Outputs.of_probabilities(probabilities), at(alpha, beta))
        assert predicted.tolist() == [decode_by_hand(row, alpha, beta) for row in probabilities]


def test_two_largest_keep_emotion_order_among_equals() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 3, (4, 200, 6)).astype(float)
    order = np.argsort(-values, -1, kind="stable")
    first, second, largest, next_largest = two_largest(values)
    np.testing.assert_array_equal(first, order[..., 0])
    np.testing.assert_array_equal(second, order[..., 1])
    np.testing.assert_array_equal(np.stack([largest, next_largest], -1), -np.sort(-values, -1)[..., :2])


def test_decoupled_takes_the_pair_from_presence_and_the_ratio_from_salience() -> None:
    presence = np.array([[3.0, 2.0, -4, -4, -4, -4]] * 3 + [[2.0, -4, -4, -4, -4, 3.0], [3.0, -1.0, -4, -4, -4, -4]])
    salience = np.zeros((5, 6))
    salience[1, 1] = 3.0  # leans to disgust although presence prefers anger
    salience[2, 0], salience[2, 3] = 3.0, 9.0  # another emotion's salience changes nothing
    outputs = Outputs(presence, salience, np.full((5, 6), 1 / 6))
    predicted = DecoupledDecoder(BLEMORE).decode(outputs, at(0.5, 0.2))
    expected = [{"ang": 50, "disg": 50}, {"ang": 30, "disg": 70}, {"ang": 70, "disg": 30}, {"neu": 100}, {"ang": 100}]
    assert [BLEMORE.state_percents(int(state)) for state in predicted] == expected


def test_presence_probabilities_of_states_are_marginals_of_the_sets() -> None:
    logits = np.random.default_rng(2).normal(size=(2, 7, 6))
    kind = np.array([False, True])
    probabilities = presence_probabilities(BLEMORE, Outputs(logits, logits, logits, kind))
    np.testing.assert_allclose(probabilities[0], 1 / (1 + np.exp(-logits[0])))
    weights = np.exp(logits[1] @ BLEMORE.set_members.T)
    np.testing.assert_allclose(probabilities[1], weights @ BLEMORE.set_members / weights.sum(-1, keepdims=True))
    for index, name in enumerate(("bce", "states")):
        alone = presence_probabilities(BLEMORE, Outputs(logits[index], logits[index], logits[index], name))
        np.testing.assert_allclose(alone, probabilities[index])


@both
def test_grid_choice_is_the_first_best_of_all_400(decoder_class: type[ThresholdDecoder]) -> None:
    truth = draw_truth(150)
    for seed in range(3):
        outputs = draw_outputs(truth, seed=seed)
        decoder = decoder_class(BLEMORE, "grid")
        points = [(a, b) for a in decoder.blend_grid for b in decoder.even_grid]
        scores = scores_at(decoder, outputs, truth, decoder.blend_grid, decoder.even_grid)
        fitted = decoder.fit(outputs, truth)
        assert (float(fitted.blend), float(fitted.even)) == points[int(np.round(scores, 12).argmax())]


@both
@pytest.mark.parametrize("rounded", [False, True], ids=["distinct", "ties"])
def test_exact_reaches_the_best_of_all_cuts(decoder_class: type[ThresholdDecoder], rounded: bool) -> None:
    truth = draw_truth(60)
    for seed in range(4):
        outputs = draw_outputs(truth, seed=seed)
        if rounded:
            parts = (outputs.presence_logits, outputs.salience_logits, outputs.fused)
            outputs = Outputs(*(np.round(part * 4).astype(np.float64) / 4 for part in parts))
        decoder = decoder_class(BLEMORE, "exact")
        numbers = decoder.candidates(outputs)
        possible = numbers.strength[numbers.strength > 0]
        best = scores_at(decoder, outputs, truth, np.r_[possible, 1.0], np.r_[0.0, numbers.unevenness]).max()
        fitted = decoder.fit(outputs, truth)
        assert score(BLEMORE, truth, decoder.decode(outputs, fitted)).score == pytest.approx(best, abs=1e-12)


def test_exact_takes_the_middle_of_the_plateau() -> None:
    pair = BLEMORE.state_index({"ang": 50, "disg": 50})
    leaning = BLEMORE.state_index({"ang": 70, "disg": 30})
    truth = np.array([0, pair, leaning])
    probabilities = np.array([[0.8, 0.2, 0, 0, 0, 0], [0.5, 0.45, 0.05, 0, 0, 0], [0.6, 0.35, 0.05, 0, 0, 0]])
    fitted = OfficialDecoder(BLEMORE, "exact").fit(Outputs.of_probabilities(probabilities), truth)
    assert float(fitted.blend) == pytest.approx((0.2 + 0.35) / 2)  # above the single's .2, up to the blends' .35
    assert float(fitted.even) == pytest.approx((0.05 + 0.25) / 2)


def test_exact_without_anything_to_gain_still_answers() -> None:
    probabilities = np.array([[0.1, 0.1, 0.1, 0.1, 0.1, 0.5]])
    fitted = OfficialDecoder(BLEMORE, "exact").fit(Outputs.of_probabilities(probabilities), np.array([5]))
    assert 0 <= float(fitted.blend) <= 1
    assert 0 <= float(fitted.even) <= 1


@both
@pytest.mark.parametrize("thresholds", ["grid", "exact"])
def test_fold_tables_equal_a_fit_on_the_other_folds(decoder_class: type[ThresholdDecoder], thresholds: str) -> None:
    truth = draw_truth(200)
    outputs, fold = draw_outputs(truth, (2,)), np.random.default_rng(3).integers(0, 4, 200)
    decoder = decoder_class(BLEMORE, "exact" if thresholds == "exact" else "grid")
    _, parameters = crossfit_decode(decoder, outputs, truth, fold)
    for k in range(4):
        alone = decoder.fit(outputs.take(fold != k), truth[fold != k])
        np.testing.assert_array_equal(parameters.blend[:, k], alone.blend)
        np.testing.assert_array_equal(parameters.even[:, k], alone.even)


def test_official_protocol_fits_on_the_reported_fold_and_is_never_below_crossfit() -> None:
    truth = draw_truth(300)
    outputs, fold = draw_outputs(truth, (3,)), np.arange(300) % 3
    states, parameters = official_decode(BLEMORE, outputs, truth, fold)
    crossfit, _ = crossfit_decode(OfficialDecoder(BLEMORE), outputs, truth, fold)
    for k in range(3):
        own = OfficialDecoder(BLEMORE).fit(outputs.take(fold == k), truth[fold == k])
        np.testing.assert_array_equal(parameters.blend[:, k], own.blend)
        for replica in range(3):
            inside = fold == k
            optimistic = score(BLEMORE, truth[inside], states[replica, inside]).score
            assert optimistic >= score(BLEMORE, truth[inside], crossfit[replica, inside]).score


def test_clips_of_the_same_folds_form_one_group() -> None:
    fold = np.array([0, 1, 1, 2, 0])
    membership = np.arange(3)[:, None] != fold
    group, member = group_by_folds(membership)
    assert member.shape == (3, 3)
    np.testing.assert_array_equal(member[:, group], membership.astype(float))
