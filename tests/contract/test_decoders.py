"""One suite over every decoder and form of task: whatever a configuration names must behave like this."""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rfe.decoding.base import Decoder, Outputs
from rfe.decoding.candidates import fits_thresholds
from rfe.decoding.fitting import build_decoder, crossfit_decode, parameters_from_dict
from rfe.errors import ConfigError
from rfe.metrics.presence import presence_hits
from rfe.task import BLEMORE, Task
from tests.tasks import EIGHT, TASKS, TWO_WAYS
from tests.unit.decoding.outputs import draw_outputs, draw_truth

KINDS = [
    ("official", "grid"),
    ("official", "exact"),
    ("decoupled", "grid"),
    ("decoupled", "exact"),
    ("valid_states", "grid"),
]
CASES = [(task, *kind) for task in TASKS for kind in KINDS if kind[0] == "valid_states" or fits_thresholds(task)]
N_CLIPS = 240
FOLD = np.random.default_rng(4).integers(0, 4, N_CLIPS) * 10 + 3  # numbers that are no indices
LEADING = (3, 2)

every_decoder = pytest.mark.parametrize(
    ("task", "kind", "thresholds"), CASES, ids=[f"{task.name}-{kind}-{way}" for task, kind, way in CASES]
)


@cache
def truth_of(task: Task) -> NDArray[np.int64]:
    return draw_truth(N_CLIPS, task=task)


@cache
def outputs_of(task: Task, *leading: int) -> Outputs:
    return draw_outputs(truth_of(task), leading, task=task)


def build(task: Task, kind: str, thresholds: str, omega: Any = 0.5) -> Decoder[Any]:
    return build_decoder(task, kind, thresholds, omega)


def one_of(outputs: Outputs, *index: int) -> Outputs:
    return Outputs(outputs.presence_logits[index], outputs.salience_logits[index], outputs.fused[index])


def share_of_right_sets(task: Task, truth: NDArray[np.int64], states: NDArray[np.int64]) -> float:
    return float(presence_hits(task, truth, states).mean())


def chance(task: Task, truth: NDArray[np.int64]) -> float:
    """What the most frequent set gets."""
    return float(np.bincount(task.state_set[truth]).max() / len(truth))


@every_decoder
def test_answers_are_legal_and_better_than_chance(task: Task, kind: str, thresholds: str) -> None:
    states, _ = crossfit_decode(build(task, kind, thresholds), outputs_of(task, *LEADING), truth_of(task), FOLD)
    assert states.shape == (*LEADING, N_CLIPS)
    assert states.dtype == np.int64
    assert states.min() >= 0
    assert states.max() < task.n_states
    assert task.state_possible[states].all()
    assert share_of_right_sets(task, truth_of(task), states) > chance(task, truth_of(task)) + 0.05


@every_decoder
def test_a_replica_alone_equals_the_replica_in_a_stack(task: Task, kind: str, thresholds: str) -> None:
    outputs, omega = outputs_of(task, *LEADING), np.array([[0.0, 0.3], [0.5, 0.5], [0.7, 1.0]])
    states, parameters = crossfit_decode(build(task, kind, thresholds, omega), outputs, truth_of(task), FOLD)
    for index in np.ndindex(LEADING):
        decoder = build(task, kind, thresholds, omega[index])
        alone, fitted = crossfit_decode(decoder, one_of(outputs, *index), truth_of(task), FOLD)
        np.testing.assert_array_equal(alone, states[index])
        for name, values in fitted.to_dict().items():
            np.testing.assert_allclose(values, getattr(parameters, name)[index], rtol=1e-7, atol=1e-10)


@every_decoder
def test_labels_of_a_fold_never_fit_its_own_decoder(task: Task, kind: str, thresholds: str) -> None:
    outputs = outputs_of(task, 2)
    decoder = build(task, kind, thresholds)
    states, parameters = crossfit_decode(decoder, outputs, truth_of(task), FOLD)
    inside = FOLD == 13
    possible = np.flatnonzero(task.state_possible)
    turned = possible[(np.searchsorted(possible, truth_of(task)) + 17) % len(possible)]
    changed = np.where(inside, turned, truth_of(task))
    other_states, other = crossfit_decode(decoder, outputs, changed, FOLD)
    np.testing.assert_array_equal(states[:, inside], other_states[:, inside])
    for name, values in parameters.to_dict().items():
        np.testing.assert_allclose(
            np.asarray(values)[:, 1], np.asarray(other.to_dict()[name])[:, 1], rtol=1e-9, atol=1e-12, err_msg=name
        )
    everywhere = [np.array_equal(values, other.to_dict()[name]) for name, values in parameters.to_dict().items()]
    is_choice = any(task.alone[one] for pair in task.pairs for one in pair)  # else thresholds decide nothing
    assert all(everywhere) == (kind != "valid_states" and not is_choice)  # the other folds did see the change


@every_decoder
def test_crossfit_is_fit_on_the_rest_then_decode(task: Task, kind: str, thresholds: str) -> None:
    outputs, offset = outputs_of(task, 2), np.random.default_rng(6).normal(size=(1, task.n_sets))
    decoder = build(task, kind, thresholds)
    states, _ = crossfit_decode(decoder, outputs, truth_of(task), FOLD, set_offset=offset)
    for k in np.unique(FOLD):
        rest, inside = k != FOLD, k == FOLD
        fitted = decoder.fit(outputs.take(rest), truth_of(task)[rest], set_offset=offset)
        np.testing.assert_array_equal(
            decoder.decode(outputs.take(inside), fitted, set_offset=offset), states[:, inside]
        )


@every_decoder
def test_fit_and_decode_equals_its_two_halves(task: Task, kind: str, thresholds: str) -> None:
    outputs, (folds, index) = outputs_of(task, *LEADING), np.unique(FOLD, return_inverse=True)
    decoder, others = build(task, kind, thresholds), folds[:, None] != FOLD
    states, parameters = decoder.fit_and_decode(outputs, truth_of(task), others, index)
    halves = decoder.fit_folds(outputs, truth_of(task), others)
    np.testing.assert_array_equal(decoder.decode(outputs, halves, fold_index=index), states)
    for name, values in parameters.to_dict().items():
        np.testing.assert_array_equal(values, halves.to_dict()[name])


@every_decoder
def test_one_fit_answers_for_many_models(task: Task, kind: str, thresholds: str) -> None:
    outputs, index = outputs_of(task, *LEADING), np.unique(FOLD, return_inverse=True)[1]
    decoder = build(task, kind, thresholds)
    fitted = decoder.fit(one_of(outputs, 0, 0), truth_of(task))
    together = decoder.decode(outputs, fitted)
    _, by_fold = crossfit_decode(decoder, one_of(outputs, 0, 0), truth_of(task), FOLD)
    together_by_fold = decoder.decode(outputs, by_fold, fold_index=index)
    for position in np.ndindex(LEADING):
        alone = one_of(outputs, *position)
        np.testing.assert_array_equal(together[position], decoder.decode(alone, fitted))
        np.testing.assert_array_equal(together_by_fold[position], decoder.decode(alone, by_fold, fold_index=index))


@every_decoder
def test_parameters_survive_json(task: Task, kind: str, thresholds: str) -> None:
    outputs = outputs_of(task, 2)
    decoder = build(task, kind, thresholds)
    fitted = decoder.fit(outputs, truth_of(task))
    read = parameters_from_dict(kind, json.loads(json.dumps(fitted.to_dict())))
    np.testing.assert_array_equal(decoder.decode(outputs, fitted), decoder.decode(outputs, read))
    np.testing.assert_array_equal(decoder.decode(one_of(outputs, 1), read.at(1)), decoder.decode(outputs, fitted)[1])


@every_decoder
def test_not_finite_outputs_are_no_answer_and_no_neighbours_business(task: Task, kind: str, thresholds: str) -> None:
    outputs = outputs_of(task, 3)
    parts = [part.copy() for part in (outputs.presence_logits, outputs.salience_logits, outputs.fused)]
    for part in parts:
        part[1] = np.nan
        part[2, :5, 2] = np.inf
    decoder = build(task, kind, thresholds)
    clean, _ = crossfit_decode(decoder, outputs, truth_of(task), FOLD)
    states, parameters = crossfit_decode(decoder, Outputs(*parts), truth_of(task), FOLD)
    np.testing.assert_array_equal(states[0], clean[0])
    assert (states[1] == -1).all()
    assert (states[2, :5] == -1).all()
    assert (states[2, 5:] >= 0).all()
    assert all(np.isfinite(values).all() for values in parameters.to_dict().values())


@every_decoder
def test_inputs_are_left_as_they_were(task: Task, kind: str, thresholds: str) -> None:
    outputs = outputs_of(task, 2)
    parts = (outputs.presence_logits, outputs.salience_logits, outputs.fused)
    before = [part.copy() for part in parts]
    for part in parts:
        part.flags.writeable = False
    crossfit_decode(build(task, kind, thresholds), outputs, truth_of(task), FOLD)
    assert all(np.array_equal(part, copy) for part, copy in zip(parts, before, strict=True))


@every_decoder
def test_one_softmax_head_is_enough(task: Task, kind: str, thresholds: str) -> None:
    """The organisers' network has the same logits twice and their softmax."""
    logits = outputs_of(task).salience_logits
    fused = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    states, _ = crossfit_decode(
        build(task, kind, thresholds), Outputs(logits, logits, fused, "states"), truth_of(task), FOLD
    )
    assert share_of_right_sets(task, truth_of(task), states) > chance(task, truth_of(task)) + 0.05


@every_decoder
def test_labels_without_blends_or_without_singles_are_decoded(task: Task, kind: str, thresholds: str) -> None:
    possible = np.flatnonzero(task.state_possible)
    for states in (possible[possible < task.n_classes], possible[possible >= task.n_classes]):
        if len(states) > 1:
            truth = states[draw_truth(60) % len(states)]
            outputs = draw_outputs(truth, noise=0.5, task=task)
            answers, _ = crossfit_decode(build(task, kind, thresholds), outputs, truth, np.arange(60) % 3)
            assert share_of_right_sets(task, truth, answers) > 0.4


def test_one_fold_cannot_be_crossfitted() -> None:
    with pytest.raises(ValueError, match="two folds"):
        crossfit_decode(
            build(BLEMORE, "official", "grid"), outputs_of(BLEMORE), truth_of(BLEMORE), np.zeros(N_CLIPS, int)
        )


def test_unknown_decoders_are_refused() -> None:
    with pytest.raises(ConfigError, match="valid_states, not 'best'"):
        build_decoder(BLEMORE, "best")
    with pytest.raises(ConfigError, match="grid or exact"):
        build_decoder(BLEMORE, "official", "fine")


@pytest.mark.parametrize("kind", ["official", "decoupled"])
@pytest.mark.parametrize(
    ("task", "ratios"), [(EIGHT, "80/20, 65/35, 50/50, 35/65 or 20/80"), (TWO_WAYS, "75/25 or 25/75")]
)
def test_thresholds_are_refused_where_they_cannot_tell_the_ratios_apart(task: Task, ratios: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"decode.kind: {kind}: .* has {ratios}; use decode.kind: valid_states"):
        build_decoder(task, kind)


def test_outputs_of_unlike_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        Outputs(np.zeros((3, 6)), np.zeros((2, 6)), np.zeros((3, 6)))
    with pytest.raises(ValueError, match="bce or states"):
        Outputs(np.zeros((3, 6)), np.zeros((3, 6)), np.zeros((3, 6)), "softmax")
