"""One suite over every decoder: whatever a configuration names must behave like this."""

import json
from typing import Any

import numpy as np
import pytest

from rfe.decoding.base import Decoder, Outputs
from rfe.decoding.fitting import build_decoder, crossfit_decode, parameters_from_dict
from rfe.errors import ConfigError
from rfe.labels import N_STATES
from rfe.metrics.score import score
from tests.unit.decoding.outputs import draw_outputs, draw_truth

KINDS = [
    ("official", "grid"),
    ("official", "exact"),
    ("decoupled", "grid"),
    ("decoupled", "exact"),
    ("valid_states", "grid"),
]
N_CLIPS = 240
TRUTH = draw_truth(N_CLIPS)
FOLD = np.random.default_rng(4).integers(0, 4, N_CLIPS) * 10 + 3  # numbers that are no indices
LEADING = (3, 2)

every_decoder = pytest.mark.parametrize(("kind", "thresholds"), KINDS, ids=["-".join(kind) for kind in KINDS])


def build(kind: str, thresholds: str, omega: Any = 0.5) -> Decoder[Any]:
    return build_decoder(kind, thresholds, omega)


def one_of(outputs: Outputs, *index: int) -> Outputs:
    return Outputs(outputs.presence_logits[index], outputs.salience_logits[index], outputs.fused[index])


@every_decoder
def test_answers_are_legal_and_better_than_chance(kind: str, thresholds: str) -> None:
    states, _ = crossfit_decode(build(kind, thresholds), draw_outputs(TRUTH, LEADING), TRUTH, FOLD)
    assert states.shape == (*LEADING, N_CLIPS)
    assert states.dtype == np.int64
    assert states.min() >= 0
    assert states.max() < N_STATES
    guess = score(TRUTH, np.broadcast_to(np.bincount(TRUTH).argmax(), N_CLIPS)).score
    assert score(TRUTH, states).score > guess + 0.05


@every_decoder
def test_a_replica_alone_equals_the_replica_in_a_stack(kind: str, thresholds: str) -> None:
    outputs, omega = draw_outputs(TRUTH, LEADING), np.array([[0.0, 0.3], [0.5, 0.5], [0.7, 1.0]])
    states, parameters = crossfit_decode(build(kind, thresholds, omega), outputs, TRUTH, FOLD)
    for index in np.ndindex(LEADING):
        decoder = build(kind, thresholds, omega[index])
        alone, fitted = crossfit_decode(decoder, one_of(outputs, *index), TRUTH, FOLD)
        np.testing.assert_array_equal(alone, states[index])
        for name, values in fitted.to_dict().items():
            np.testing.assert_allclose(values, getattr(parameters, name)[index], rtol=1e-7, atol=1e-10)


@every_decoder
def test_labels_of_a_fold_never_fit_its_own_decoder(kind: str, thresholds: str) -> None:
    outputs = draw_outputs(TRUTH, (2,))
    decoder = build(kind, thresholds)
    states, parameters = crossfit_decode(decoder, outputs, TRUTH, FOLD)
    inside = FOLD == 13
    changed = np.where(inside, (TRUTH + 17) % N_STATES, TRUTH)
    other_states, other = crossfit_decode(decoder, outputs, changed, FOLD)
    np.testing.assert_array_equal(states[:, inside], other_states[:, inside])
    for name, values in parameters.to_dict().items():
        np.testing.assert_allclose(
            np.asarray(values)[:, 1], np.asarray(other.to_dict()[name])[:, 1], rtol=1e-9, atol=1e-12, err_msg=name
        )
    everywhere = [np.array_equal(values, other.to_dict()[name]) for name, values in parameters.to_dict().items()]
    assert not all(everywhere)  # the other folds did see the change


@every_decoder
def test_crossfit_is_fit_on_the_rest_then_decode(kind: str, thresholds: str) -> None:
    outputs, offset = draw_outputs(TRUTH, (2,)), np.random.default_rng(6).normal(size=(1, 16))
    decoder = build(kind, thresholds)
    states, _ = crossfit_decode(decoder, outputs, TRUTH, FOLD, set_offset=offset)
    for k in np.unique(FOLD):
        rest, inside = k != FOLD, k == FOLD
        fitted = decoder.fit(outputs.take(rest), TRUTH[rest], set_offset=offset)
        np.testing.assert_array_equal(
            decoder.decode(outputs.take(inside), fitted, set_offset=offset), states[:, inside]
        )


@every_decoder
def test_fit_and_decode_equals_its_two_halves(kind: str, thresholds: str) -> None:
    outputs, (folds, index) = draw_outputs(TRUTH, LEADING), np.unique(FOLD, return_inverse=True)
    decoder, others = build(kind, thresholds), folds[:, None] != FOLD
    states, parameters = decoder.fit_and_decode(outputs, TRUTH, others, index)
    halves = decoder.fit_folds(outputs, TRUTH, others)
    np.testing.assert_array_equal(decoder.decode(outputs, halves, fold_index=index), states)
    for name, values in parameters.to_dict().items():
        np.testing.assert_array_equal(values, halves.to_dict()[name])


@every_decoder
def test_one_fit_answers_for_many_models(kind: str, thresholds: str) -> None:
    outputs, index = draw_outputs(TRUTH, LEADING), np.unique(FOLD, return_inverse=True)[1]
    decoder = build(kind, thresholds)
    fitted = decoder.fit(one_of(outputs, 0, 0), TRUTH)
    together = decoder.decode(outputs, fitted)
    _, by_fold = crossfit_decode(decoder, one_of(outputs, 0, 0), TRUTH, FOLD)
    together_by_fold = decoder.decode(outputs, by_fold, fold_index=index)
    for position in np.ndindex(LEADING):
        alone = one_of(outputs, *position)
        np.testing.assert_array_equal(together[position], decoder.decode(alone, fitted))
        np.testing.assert_array_equal(together_by_fold[position], decoder.decode(alone, by_fold, fold_index=index))


@every_decoder
def test_parameters_survive_json(kind: str, thresholds: str) -> None:
    outputs = draw_outputs(TRUTH, (2,))
    decoder = build(kind, thresholds)
    fitted = decoder.fit(outputs, TRUTH)
    read = parameters_from_dict(kind, json.loads(json.dumps(fitted.to_dict())))
    np.testing.assert_array_equal(decoder.decode(outputs, fitted), decoder.decode(outputs, read))
    np.testing.assert_array_equal(decoder.decode(one_of(outputs, 1), read.at(1)), decoder.decode(outputs, fitted)[1])


@every_decoder
def test_not_finite_outputs_are_no_answer_and_no_neighbours_business(kind: str, thresholds: str) -> None:
    outputs = draw_outputs(TRUTH, (3,))
    parts = [part.copy() for part in (outputs.presence_logits, outputs.salience_logits, outputs.fused)]
    for part in parts:
        part[1] = np.nan
        part[2, :5, 2] = np.inf
    decoder = build(kind, thresholds)
    clean, _ = crossfit_decode(decoder, outputs, TRUTH, FOLD)
    states, parameters = crossfit_decode(decoder, Outputs(*parts), TRUTH, FOLD)
    np.testing.assert_array_equal(states[0], clean[0])
    assert (states[1] == -1).all()
    assert (states[2, :5] == -1).all()
    assert (states[2, 5:] >= 0).all()
    assert all(np.isfinite(values).all() for values in parameters.to_dict().values())


@every_decoder
def test_inputs_are_left_as_they_were(kind: str, thresholds: str) -> None:
    outputs = draw_outputs(TRUTH, (2,))
    parts = (outputs.presence_logits, outputs.salience_logits, outputs.fused)
    before = [part.copy() for part in parts]
    for part in parts:
        part.flags.writeable = False
    crossfit_decode(build(kind, thresholds), outputs, TRUTH, FOLD)
    assert all(np.array_equal(part, copy) for part, copy in zip(parts, before, strict=True))


@every_decoder
def test_one_softmax_head_is_enough(kind: str, thresholds: str) -> None:
    """The organisers' network has the same logits twice and their softmax."""
    logits = draw_outputs(TRUTH).salience_logits
    fused = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    states, _ = crossfit_decode(build(kind, thresholds), Outputs(logits, logits, fused, "states"), TRUTH, FOLD)
    assert score(TRUTH, states).acc_presence > 0.2


@every_decoder
def test_a_fold_without_blends_and_labels_without_blends_are_decoded(kind: str, thresholds: str) -> None:
    singles = draw_truth(60) % 6
    states, _ = crossfit_decode(build(kind, thresholds), draw_outputs(singles), singles, np.arange(60) % 3)
    assert score(singles, states).acc_presence > 0.4


def test_one_fold_cannot_be_crossfitted() -> None:
    with pytest.raises(ValueError, match="two folds"):
        crossfit_decode(build("official", "grid"), draw_outputs(TRUTH), TRUTH, np.zeros(N_CLIPS, int))


def test_unknown_decoders_are_refused() -> None:
    with pytest.raises(ConfigError, match="valid_states, not 'best'"):
        build_decoder("best")
    with pytest.raises(ConfigError, match="grid or exact"):
        build_decoder("official", "fine")


def test_outputs_of_unlike_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        Outputs(np.zeros((3, 6)), np.zeros((2, 6)), np.zeros((3, 6)))
    with pytest.raises(ValueError, match="bce or states"):
        Outputs(np.zeros((3, 6)), np.zeros((3, 6)), np.zeros((3, 6)), "softmax")
