"""What decoders answer of tasks that are not BlEmoRE's."""

import numpy as np
import pytest

from rfe.decoding.base import Outputs
from rfe.decoding.candidates import PairStates
from rfe.decoding.decoupled import presence_probabilities
from rfe.decoding.fitting import crossfit_decode
from rfe.decoding.official import OfficialDecoder
from rfe.decoding.state_model import salience_evidence
from rfe.decoding.thresholds import ThresholdParameters
from rfe.decoding.valid_states import ValidStatesDecoder, answer_states, state_probabilities
from rfe.metrics.metric import LabelShares
from rfe.task import Task
from tests.tasks import COMPOUND, EIGHT, HALF_ALONE, PAIRS_ONLY, PLAIN, TASKS, TWO_WAYS, WIDE, WIDE_RATIOS
from tests.unit.decoding.outputs import draw_outputs, draw_truth

every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
some_impossible = pytest.mark.parametrize("task", [COMPOUND, PAIRS_ONLY, HALF_ALONE], ids=lambda task: task.name)


@every_task
def test_evidence_of_salience_is_the_nearest_soft_label(task: Task) -> None:
    """Without a fixed .2 and .7 in it: before, five ratios were judged as three."""
    logits = 2 * np.random.default_rng(0).normal(size=(20, task.n_classes))
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    label = task.state_salience.astype(np.float64)
    entropy = np.where(label > 0, label * np.log(np.where(label > 0, label, 1)), 0).sum(-1)
    nearness = log @ label.T - entropy  # [clip, state]
    expected = np.stack([nearness[:, task.state_set == index].max(-1) for index in range(task.n_sets)])
    np.testing.assert_allclose(salience_evidence(task, logits), expected, atol=1e-6)


@some_impossible
def test_a_class_that_never_occurs_alone_has_no_probability_alone(task: Task) -> None:
    truth = draw_truth(120, task=task)
    alone = np.flatnonzero(~task.state_possible)
    shouting = draw_outputs(truth, task=task)
    for presence in (shouting.presence_logits, shouting.presence_logits @ task.set_members.T):
        presence = presence.copy()
        presence[:40, alone] += 30  # these clips say that the class stands there by itself
        outputs = Outputs(presence, shouting.salience_logits, shouting.fused, "states")
        decoder = ValidStatesDecoder(task)
        fitted = decoder.fit(outputs, truth)
        probabilities = state_probabilities(task, outputs, fitted)
        assert (probabilities[:, alone] == 0).all()
        np.testing.assert_allclose(probabilities.sum(-1), 1)
        assert task.state_possible[decoder.decode(outputs, fitted)].all()
        present = presence_probabilities(task, outputs)
        assert np.isfinite(present).all()
        if not any(task.alone):  # two classes at least, always
            np.testing.assert_allclose(present.sum(-1), 2, rtol=1e-5)


@some_impossible
def test_class_balance_of_impossible_sets_does_not_matter(task: Task) -> None:
    truth = draw_truth(120, task=task)
    outputs, decoder = draw_outputs(truth, task=task), ValidStatesDecoder(task)
    offset = np.where(task.set_possible, 0.1 * np.arange(task.n_sets), 0.0)[None]
    other = np.where(task.set_possible, offset, 99.0)
    one, two = (decoder.fit(outputs, truth, set_offset=values) for values in (offset, other))
    np.testing.assert_array_equal(one.set_bias, two.set_bias)
    assert (one.set_bias[~task.set_possible] == 0).all()


def test_official_thresholds_answer_a_blend_where_the_largest_class_never_occurs_alone() -> None:
    """b never occurs alone, and blends with a and c only."""
    probabilities = np.array(
        [
            [0.05, 0.6, 0.1, 0.2, 0.05],  # b, and c is the larger of a and c; d does not count
            [0.6, 0.3, 0.05, 0.03, 0.02],  # a alone, as b is below the threshold
            [0.5, 0.45, 0.02, 0.02, 0.01],  # a and b
            [0.05, 0.05, 0.4, 0.45, 0.05],  # c and d never blend: d
        ]
    )
    outputs = Outputs.of_probabilities(probabilities)
    at = ThresholdParameters(np.asarray(0.4), np.asarray(0.1))
    answers = OfficialDecoder(HALF_ALONE).decode(outputs, at)
    assert [HALF_ALONE.state_name(state) for state in answers] == ["b 60 + c 40", "a", "a 50 + b 50", "d"]


def test_a_single_label_is_the_largest_probability() -> None:
    truth = draw_truth(100, task=PLAIN)
    outputs = draw_outputs(truth, task=PLAIN)
    answers, _ = crossfit_decode(OfficialDecoder(PLAIN), outputs, truth, np.arange(100) % 3)
    np.testing.assert_array_equal(answers, outputs.fused.argmax(-1))


@pytest.mark.parametrize("task", [WIDE, WIDE_RATIOS, EIGHT], ids=lambda task: task.name)
def test_states_beyond_a_byte_keep_their_number(task: Task) -> None:
    """int8 codes would wrap around at the 128th state."""
    blend = PairStates(task)
    for pair, (first, second) in enumerate(task.pairs):
        for one, two in ((first, second), (second, first)):
            even, leaning = (found.item() for found in blend.of(np.array([one], np.int8), np.array([two], np.int8)))
            start = task.n_classes + task.n_ratios * pair
            assert even == start + task.n_ratios // 2
            assert leaning == (start if one == first else start + task.n_ratios - 1)
    truth = np.flatnonzero(task.state_possible)
    perfect = draw_outputs(truth, noise=0.01, task=task)
    decoder = ValidStatesDecoder(task)
    answers = decoder.decode(perfect, decoder.fit(perfect, truth))
    assert (task.state_set[answers] == task.state_set[truth]).all()


@every_task
def test_a_certain_distribution_is_answered_with_the_truth(task: Task) -> None:
    truth = np.flatnonzero(task.state_possible)
    certain = np.eye(task.n_states)[truth]
    np.testing.assert_array_equal(answer_states(task, certain, LabelShares.of(task, truth)), truth)


def test_two_ratios_never_answer_an_even_blend() -> None:
    truth = draw_truth(200, task=TWO_WAYS)
    outputs = draw_outputs(truth, task=TWO_WAYS)
    answers, parameters = crossfit_decode(ValidStatesDecoder(TWO_WAYS), outputs, truth, np.arange(200) % 4)
    assert parameters.ratio_bias.shape == (4, 0)
    assert (parameters.ratio_slope > 0).all()
    assert (answers == truth).mean() > 0.5
