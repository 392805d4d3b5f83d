from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from rfe.decoding.base import Outputs
from rfe.decoding.decoupled import presence_probabilities
from rfe.decoding.diagnostics import measure_calibration
from rfe.decoding.fitting import crossfit_decode
from rfe.decoding.ratio_model import fit_ratio
from rfe.decoding.state_model import BIAS_PENALTY, salience_evidence
from rfe.decoding.valid_states import (
    ValidStatesDecoder,
    ValidStatesParameters,
    answer_states,
    state_probabilities,
)
from rfe.metrics.blemore import Blemore
from rfe.metrics.metric import LabelShares
from rfe.metrics.presence import presence_hits
from rfe.metrics.salience import salience_hits
from rfe.task import BLEMORE
from tests.unit.decoding.outputs import draw_outputs, draw_truth


def draw_from(distribution: np.ndarray, seed: int) -> np.ndarray:
    """One state per row of [clip, state]."""
    rng = np.random.default_rng(seed)
    return (rng.random((len(distribution), 1)) > np.cumsum(distribution, -1)).sum(-1).clip(max=BLEMORE.n_states - 1)


def shares(phi: float) -> LabelShares:
    """Of a distribution with the share phi of blends; Score reads nothing else of them."""
    return LabelShares(phi, np.zeros(BLEMORE.n_sets))


def known_distribution(n_clips: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(BLEMORE.n_states, 0.25), n_clips)


def test_no_other_answer_scores_more_on_average() -> None:
    """Truths are drawn many times from known distributions; all 36 answers to each clip are scored."""
    n_clips, n_draws = 30, 20_000
    distribution = known_distribution(n_clips, 0)
    phi = float(distribution[:, BLEMORE.n_classes :].sum() / n_clips)
    answered = answer_states(BLEMORE, distribution, shares(phi))
    gains = Blemore().expected_gains(BLEMORE, distribution, shares(phi))
    assert (BLEMORE.state_is_blend[answered]).mean() > phi  # more blends than there are: they count twice
    for clip in range(n_clips):
        truth = draw_from(np.broadcast_to(distribution[clip], (n_draws, BLEMORE.n_states)), clip)
        every = np.arange(BLEMORE.n_states)[:, None]
        presence = presence_hits(BLEMORE, truth, np.broadcast_to(every, (BLEMORE.n_states, n_draws))).mean(-1)
        salience = salience_hits(BLEMORE, truth, np.broadcast_to(every, (BLEMORE.n_states, n_draws))).mean(-1)
        worth = presence + salience / phi
        error = 5 * np.sqrt((1 + 1 / phi**2) / n_draws)
        assert worth[answered[clip]] >= worth.max() - error
        np.testing.assert_allclose(worth, gains[clip], atol=error)


def test_no_other_answers_score_more_over_the_whole_set() -> None:
    """On the real Score of a large set: neither the likeliest state, nor random changes, beat the answers."""
    distribution = known_distribution(20_000, 1)
    truth = draw_from(distribution, 2)
    phi = float(BLEMORE.state_is_blend[truth].mean())
    answered = answer_states(BLEMORE, distribution, shares(phi))

    def mean_score(states: np.ndarray) -> float:
        presence, salience = presence_hits(BLEMORE, truth, states), salience_hits(BLEMORE, truth, states)
        return float(0.5 * presence.mean() + 0.5 * salience.sum() / BLEMORE.state_is_blend[truth].sum())

    best = mean_score(answered)
    likeliest_set = np.stack(
        [distribution[:, t == BLEMORE.state_set].sum(-1) for t in range(len(BLEMORE.sets))], -1
    ).argmax(-1)
    of_set = np.where(likeliest_set[:, None] == BLEMORE.state_set, distribution, -1).argmax(-1)
    assert best > mean_score(distribution.argmax(-1))
    assert best > mean_score(of_set)
    rng = np.random.default_rng(3)
    for _ in range(5):
        changed = np.where(rng.random(len(truth)) < 0.2, draw_from(distribution, int(rng.integers(1e6))), answered)
        assert best > mean_score(changed)


def test_without_blends_among_the_labels_presence_alone_counts() -> None:
    distribution = np.zeros((1, BLEMORE.n_states))
    distribution[0, [0, 6]] = 0.6, 0.4
    assert answer_states(BLEMORE, distribution, shares(0.0)).tolist() == [0]
    assert answer_states(BLEMORE, distribution, shares(0.5)).tolist() == [6]


def reference_distribution(outputs: Outputs, values: ValidStatesParameters) -> np.ndarray:
    """The model's equations, clip by clip."""
    rows = []
    for l, g in zip(outputs.presence_logits.astype(float), outputs.salience_logits.astype(float), strict=True):  # noqa: E741
        s = np.exp(g) / np.exp(g).sum()
        logits = []
        for members in BLEMORE.sets:
            states = [y for y in BLEMORE.state_salience.astype(float) if set(np.flatnonzero(y)) == set(members)]
            divergence = min(sum(y[c] * np.log(y[c] / s[c]) for c in members) for y in states)
            logits.append(values.presence_slope * l[list(members)].sum() - values.salience_slope * divergence)
        weight = np.exp(np.array(logits) + values.set_bias)
        sets = weight / weight.sum()
        row = list(sets[: BLEMORE.n_classes])
        for probability, (a, b) in zip(sets[BLEMORE.n_classes :], BLEMORE.pairs, strict=True):
            ratio = np.exp(
                [values.ratio_slope * (g[a] - g[b]), values.ratio_bias[0], values.ratio_slope * (g[b] - g[a])]
            )
            row += list(probability * ratio / ratio.sum())
        rows.append(row)
    return np.array(rows)


def test_distribution_follows_its_equations() -> None:
    truth = draw_truth(40)
    outputs = draw_outputs(truth)
    parameters = ValidStatesDecoder(BLEMORE, 0.5).fit(outputs, truth)
    probabilities = state_probabilities(BLEMORE, outputs, parameters)
    np.testing.assert_allclose(probabilities.sum(-1), 1.0)
    np.testing.assert_allclose(probabilities, reference_distribution(outputs, parameters), atol=1e-6)
    phi = float(parameters.blend_share)
    assert phi == BLEMORE.state_is_blend[truth].mean()
    np.testing.assert_array_equal(
        ValidStatesDecoder(BLEMORE, 0.5).decode(outputs, parameters), answer_states(BLEMORE, probabilities, shares(phi))
    )


def test_sets_may_have_logits_of_their_own() -> None:
    truth = draw_truth(400)
    outputs = replace(draw_outputs(truth, (2,)), presence_kind="states")
    sums = outputs.presence_logits @ BLEMORE.set_members.T.astype(np.float32)
    same = replace(outputs, presence_logits=sums)
    decoder, folds = ValidStatesDecoder(BLEMORE, 0.5), np.arange(400) % 4
    (expected, _), (found, _) = (crossfit_decode(decoder, one, truth, folds) for one in (outputs, same))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(
        presence_probabilities(BLEMORE, same), presence_probabilities(BLEMORE, outputs), rtol=1e-5
    )
    # what tells pairs apart beyond their emotions is used
    told = np.where(np.arange(16) == BLEMORE.state_set[truth][:, None], 3.0, 0.0)[None] + sums
    better = replace(outputs, presence_logits=told.astype(np.float32))
    answers, _ = crossfit_decode(decoder, better, truth, folds)
    assert (BLEMORE.state_set[answers] == BLEMORE.state_set[truth]).mean() > (
        BLEMORE.state_set[expected] == BLEMORE.state_set[truth]
    ).mean() + 0.1


def test_logits_of_another_width_are_refused() -> None:
    outputs = draw_outputs(draw_truth(5))
    with pytest.raises(ValueError, match="logit of each set instead"):
        replace(outputs, presence_logits=outputs.presence_logits[..., :5])


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e-3])
def test_fit_is_the_maximum_of_the_likelihood(scale: float) -> None:
    """A general-purpose optimiser, started at the fit, finds no better point; started elsewhere, none either."""
    truth = draw_truth(300)
    drawn = draw_outputs(truth)
    outputs = Outputs(scale * drawn.presence_logits, drawn.salience_logits, drawn.fused)
    fitted = ValidStatesDecoder(BLEMORE, 0.5).fit(outputs, truth)
    assert float(fitted.presence_slope) * scale == pytest.approx(
        float(ValidStatesDecoder(BLEMORE, 0.5).fit(drawn, truth).presence_slope), rel=1e-5
    )

    def loss(theta: np.ndarray) -> float:
        slopes = np.maximum(theta[:3], 0.0)
        parameters = ValidStatesParameters(
            slopes[0] / scale, slopes[1], theta[4:], slopes[2], theta[3:4], fitted.blend_share, fitted.set_share
        )
        likelihood = np.log(state_probabilities(BLEMORE, outputs, parameters)[np.arange(300), truth]).sum()
        return float(-likelihood + 0.5 * BIAS_PENALTY * (theta[3:] ** 2).sum())

    at_fit = np.r_[
        float(fitted.presence_slope) * scale,
        float(fitted.salience_slope),
        float(fitted.ratio_slope),
        float(fitted.ratio_bias[0]),
        fitted.set_bias,
    ]
    for start in (at_fit, np.r_[0.5, 0.5, 0.5, np.zeros(17)]):
        best = minimize(loss, start, method="L-BFGS-B", bounds=[(0, None)] * 3 + [(None, None)] * 17)
        assert best.fun >= loss(at_fit) - 0.02  # the slopes' tiny penalty is not in `loss`


def test_a_head_that_says_the_opposite_gets_slope_zero() -> None:
    truth = draw_truth(300)
    drawn = draw_outputs(truth)
    fitted = ValidStatesDecoder(BLEMORE, 0.5).fit(
        Outputs(-drawn.presence_logits, -drawn.salience_logits, drawn.fused), truth
    )
    assert float(fitted.presence_slope) == 0.0
    assert float(fitted.ratio_slope) == 0.0


def test_omega_at_its_ends_leaves_a_head_out() -> None:
    truth = draw_truth(300)
    outputs = draw_outputs(truth, (3,))
    fitted = ValidStatesDecoder(BLEMORE, np.array([0.0, 0.5, 1.0])).fit(outputs, truth)
    assert (fitted.presence_slope > 0).tolist() == [False, True, True]
    assert (fitted.salience_slope > 0).tolist() == [True, True, False]


def test_separable_outputs_stay_finite() -> None:
    truth = draw_truth(100)
    perfect = draw_outputs(truth, noise=0.0)
    fitted = ValidStatesDecoder(BLEMORE, 0.5).fit(perfect, truth)
    assert all(np.isfinite(value).all() for value in (fitted.presence_slope, fitted.set_bias, fitted.ratio_bias))
    assert (ValidStatesDecoder(BLEMORE, 0.5).decode(perfect, fitted) == truth).mean() > 0.95


def test_class_balance_weight_is_taken_out_before_the_fit() -> None:
    """A weight that is a product over emotions can be put into the logits; taking it out gives them back."""
    truth = draw_truth(400)
    plain, decoder = draw_outputs(truth), ValidStatesDecoder(BLEMORE, 0.5)
    by_emotion = np.random.default_rng(5).normal(size=(400, 6))  # differs by clip, as it does between folds
    outputs = Outputs(plain.presence_logits + by_emotion, plain.salience_logits, plain.fused)
    offset = by_emotion @ BLEMORE.set_members.T
    restored, expected = decoder.fit(outputs, truth, set_offset=offset), decoder.fit(plain, truth)
    np.testing.assert_allclose(restored.set_bias, expected.set_bias, atol=1e-5)
    np.testing.assert_array_equal(decoder.decode(outputs, restored, set_offset=offset), decoder.decode(plain, expected))
    assert (decoder.decode(outputs, restored) != decoder.decode(plain, expected)).any()


def test_salience_evidence_takes_the_nearest_ratio() -> None:
    pair, salience = (
        6 + BLEMORE.pairs.index((0, 3)),
        BLEMORE.state_salience[BLEMORE.state_index({"ang": 30, "hap": 70})],
    )
    logits = np.log(np.maximum(salience, 1e-30))[None]
    assert salience_evidence(BLEMORE, logits)[pair, 0] == pytest.approx(0.0, abs=1e-6)
    assert salience_evidence(BLEMORE, logits)[:, 0].argmax() == pair


def test_ratio_without_a_fitted_blend_falls_back_to_no_knowledge() -> None:
    slope, even = fit_ratio(BLEMORE, np.zeros((1, 0)), np.zeros(0, int), np.zeros((1, 1, 0)))
    assert (slope.item(), even.item()) == (0.0, 0.0)


def test_fitted_distribution_is_calibrated_where_the_model_holds() -> None:
    truth = draw_truth(4000)
    outputs, fold = draw_outputs(truth), np.arange(4000) % 5
    decoder = ValidStatesDecoder(BLEMORE, 0.5)
    states, parameters = crossfit_decode(decoder, outputs, truth, fold)
    probabilities = state_probabilities(BLEMORE, outputs, parameters, fold_index=fold)
    measured = measure_calibration(BLEMORE, probabilities, truth, states)
    assert measured.nll < np.log(BLEMORE.n_states) - 0.5
    assert measured.blend_predicted == pytest.approx(measured.blend_true, abs=0.02)
    assert measured.blend_answered > measured.blend_true
    filled = measured.bin_share > 0.002
    np.testing.assert_allclose(measured.bin_predicted[filled], measured.bin_observed[filled], atol=0.06)
    uniform = measure_calibration(BLEMORE, np.full((4000, BLEMORE.n_states), 1 / BLEMORE.n_states), truth, truth)
    assert uniform.nll == pytest.approx(np.log(BLEMORE.n_states))
    assert uniform.blend_answered == uniform.blend_true


def test_one_clip_with_broken_outputs_spoils_no_other_clips_answer() -> None:
    truth = draw_truth(400)
    outputs = draw_outputs(truth, (1,))
    presence, salience = outputs.presence_logits.copy(), outputs.salience_logits.copy()
    presence[0, 5], salience[0, 5] = -1e5 * presence[0, 5], -1e5 * salience[0, 5]
    broken = replace(outputs, presence_logits=presence, salience_logits=salience)
    decoder, others = ValidStatesDecoder(BLEMORE, 0.5), np.arange(400) != 5
    sound = (decoder.decode(outputs, decoder.fit(outputs, truth))[0] == truth)[others].mean()
    spoilt = (decoder.decode(broken, decoder.fit(broken, truth))[0] == truth)[others].mean()
    assert sound > 0.5
    assert spoilt == pytest.approx(sound, abs=0.01)


@pytest.mark.parametrize("kind", ["equal", "small", "nan"])
def test_how_a_model_answers_most_clips_is_no_fault_of_the_others(kind: str) -> None:
    truth = draw_truth(300)
    outputs = draw_outputs(truth, (1,))
    presence, salience = outputs.presence_logits.copy(), outputs.salience_logits.copy()
    for logits in (presence, salience):
        many = logits[0, :180]
        many[:] = {"equal": 0.0, "small": many / 50, "nan": np.nan}[kind]
    fitted = ValidStatesDecoder(BLEMORE, 0.5).fit(
        replace(outputs, presence_logits=presence, salience_logits=salience), truth
    )
    assert 0.3 < float(np.ravel(fitted.presence_slope)[0]) < 60
