"""An actor's clips are matched to the design of other actors, and to nothing of their own labels."""

import numpy as np
import pytest
from numpy.typing import NDArray

from rfe.decoding import design as module
from rfe.decoding.base import Outputs
from rfe.decoding.design import (
    DesignDecoder,
    DesignParameters,
    design_spread,
    match_design,
    mean_design,
    shows_whole_design,
)
from rfe.decoding.fitting import build_decoder, crossfit_decode
from rfe.decoding.valid_states import ValidStatesDecoder, state_probabilities
from rfe.errors import ConfigError
from rfe.metrics.score import score
from rfe.task import BLEMORE, Task
from tests.tasks import TASKS
from tests.unit.decoding.outputs import draw_outputs

N_ACTORS, EACH = 9, 2


def planned(task: Task, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(state, actor, fold) [clip]: every actor shows each possible state `EACH` times; clips in random order."""
    items = np.repeat(np.flatnonzero(task.state_possible), EACH)
    state, actor = np.tile(items, N_ACTORS), np.repeat(np.arange(N_ACTORS) * 7 + 2, len(items))
    order = np.random.default_rng(seed).permutation(len(state))
    return state[order], actor[order], (actor[order] % 3) * 10


def distributions(n_clips: int, n_states: int, *leading: int) -> NDArray[np.float64]:
    weight = np.random.default_rng(5).exponential(size=(*leading, n_clips, n_states)) ** 2
    return np.asarray(weight / weight.sum(-1, keepdims=True))


def test_each_actor_shows_each_state_as_often_as_the_design_says() -> None:
    actor = np.array([4, 9, 4, 4, 9, 9, 4, 4, 9])
    probabilities = distributions(9, 3, 2)
    design = np.where((actor == 4)[:, None], [6.0, 3.0, 1.0], [1.0, 1.0, 0.0])
    matched = match_design(probabilities, actor, design)
    np.testing.assert_allclose(matched.sum(-1), 1)
    for who, shares in ((4, [0.6, 0.3, 0.1]), (9, [0.5, 0.5, 0.0])):
        mine = actor == who
        np.testing.assert_allclose(matched[:, mine].sum(1), np.tile(mine.sum() * np.array(shares), (2, 1)), atol=1e-3)


def test_it_is_the_nearest_matrix_with_these_sums() -> None:
    """diag(u) P diag(v): the logarithm of its ratio to P is a sum of a term of the clip and one of the state."""
    probabilities = distributions(12, 4)
    matched = match_design(probabilities, np.zeros(12, int), np.array([[1.0, 2.0, 3.0, 2.0]]))
    ratio = np.log(matched / probabilities)
    np.testing.assert_allclose(ratio - ratio[:1] - ratio[:, :1] + ratio[0, 0], 0, atol=1e-9)


def test_actors_replicas_and_the_order_of_clips_do_not_matter() -> None:
    actor = np.repeat([3, 1, 2], [5, 4, 6])
    probabilities, design = distributions(15, 4, 3), np.array([[1.0, 2.0, 3.0, 2.0]])
    matched = match_design(probabilities, actor, design)
    order = np.random.default_rng(0).permutation(15)
    np.testing.assert_allclose(match_design(probabilities[:, order], actor[order], design), matched[:, order])
    for who in (1, 2, 3):
        alone = match_design(probabilities[1, actor == who], actor[actor == who], design)
        np.testing.assert_allclose(alone, matched[1, actor == who], rtol=1e-12)


def test_a_clip_without_a_distribution_is_left_out_of_its_actors_set() -> None:
    probabilities = distributions(8, 3)
    broken = probabilities.copy()
    broken[2] = np.nan
    matched = match_design(broken, np.zeros(8, int), np.array([[1.0, 1.0, 1.0]]))
    assert np.isnan(matched[2]).all()
    rest = np.arange(8) != 2
    np.testing.assert_allclose(matched[rest], match_design(probabilities[rest], np.zeros(7, int), np.ones((1, 3))))


def test_certain_distributions_against_the_design_stay_distributions() -> None:
    certain = np.tile([1.0, 0.0, 0.0], (6, 1))
    matched = match_design(certain, np.zeros(6, int), np.array([[1.0, 1.0, 0.0]]))
    np.testing.assert_allclose(matched.sum(-1), 1)
    np.testing.assert_allclose(matched.sum(0), [3, 3, 0], atol=1e-2)
    assert match_design(np.zeros((0, 3)), np.zeros(0, int), np.ones((1, 3))).shape == (0, 3)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_design_adds_to_every_tasks_score_when_the_outputs_lean(task: Task) -> None:
    """Outputs that favour one class for one actor, another for the next: what the design corrects."""
    state, actor, fold = planned(task)
    plain = draw_outputs(state, (2,), noise=1.2, task=task)
    lean = np.random.default_rng(8).normal(0, 2.0, (actor.max() + 1, task.n_classes)).astype(np.float32)[actor]
    fused = plain.fused * np.exp(lean)
    outputs = Outputs(plain.presence_logits + lean, plain.salience_logits + lean, fused / fused.sum(-1, keepdims=True))
    each, _ = crossfit_decode(ValidStatesDecoder(task), outputs, state, fold)
    together, parameters = crossfit_decode(build_decoder(task, "valid_states", actor=actor), outputs, state, fold)
    assert isinstance(parameters, DesignParameters)
    np.testing.assert_allclose(parameters.design, EACH * task.state_possible * np.ones((2, 3, 1)))
    assert task.state_possible[together].all()
    scores = [np.mean([score(task, state, one).score for one in answers]) for answers in (together, each)]
    assert scores[0] > scores[1] + 0.01


def test_labels_of_a_fold_have_no_part_in_its_answers() -> None:
    state, actor, fold = planned(BLEMORE)
    outputs, decoder = draw_outputs(state, (2,)), DesignDecoder(BLEMORE, 0.5, actor)
    answers, parameters = crossfit_decode(decoder, outputs, state, fold)
    inside = fold == 10
    changed = np.where(inside, 0, state)  # another design
    others, fitted = crossfit_decode(decoder, outputs, changed, fold)
    np.testing.assert_array_equal(answers[:, inside], others[:, inside])
    np.testing.assert_array_equal(parameters.design[:, 1], fitted.design[:, 1])
    assert (parameters.design[:, 0] != fitted.design[:, 0]).any()  # the other folds did see the change


def test_answers_are_those_of_the_matched_distribution_alone_and_in_a_stack() -> None:
    state, actor, fold = planned(BLEMORE)
    outputs = draw_outputs(state, (2, 2))
    omega = np.array([[0.3, 0.3], [0.8, 0.8]])
    decoder = DesignDecoder(BLEMORE, omega, actor)
    answers, _ = crossfit_decode(decoder, outputs, state, fold)
    index = np.unique(fold, return_inverse=True)[1]
    np.testing.assert_array_equal(decoder.decode(outputs, decoder.fit_folds(
        outputs, state, np.unique(fold)[:, None] != fold), fold_index=index), answers)  # fmt: skip
    alone = Outputs(*(part[1, 0] for part in (outputs.presence_logits, outputs.salience_logits, outputs.fused)))
    one, fitted = crossfit_decode(DesignDecoder(BLEMORE, 0.8, actor), alone, state, fold)
    np.testing.assert_array_equal(one, answers[1, 0])
    states = state_probabilities(BLEMORE, alone, fitted, fold_index=index)
    matched = match_design(states, actor, fitted.design[index])
    gains = matched[:, :6]  # where a single is answered, no other single has more
    single = one < 6
    np.testing.assert_array_equal(gains[single].argmax(-1), one[single])
    whole = decoder.fit(outputs, state)
    assert whole.design.shape == (2, 2, BLEMORE.n_states)
    read = DesignParameters.from_dict(whole.to_dict())
    np.testing.assert_array_equal(decoder.decode(outputs, whole), decoder.decode(outputs, read))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_spread_tells_a_plan_from_independent_draws(task: Task) -> None:
    state, actor, _ = planned(task)
    assert design_spread(task, state, actor) == 0
    drawn = np.random.default_rng(0).permutation(state)  # equal sizes, shares of their own
    assert 0.8 < design_spread(task, drawn, actor) < 1.3
    few = np.random.default_rng(0).random(len(state)) > 0.03  # a few clips were lost
    assert design_spread(task, state[few], actor[few]) < module.LARGEST_SPREAD
    assert design_spread(task, state, np.zeros(len(state), int)) == np.inf


def test_a_design_counts_the_clips_of_a_mean_actor() -> None:
    state, actor = np.array([0, 0, 1, 1, 1, 2]), np.array([5, 5, 5, 8, 8, 8])
    np.testing.assert_array_equal(mean_design(BLEMORE, state, actor)[:3], [1, 1.5, 0.5])
    assert mean_design(BLEMORE, state[:0], actor[:0]).sum() == 0
    assert shows_whole_design(3, mean_design(BLEMORE, state, actor))
    assert not shows_whole_design(2, mean_design(BLEMORE, state, actor))
    assert not shows_whole_design(5, mean_design(BLEMORE, state, actor))


@pytest.mark.parametrize("kind", ["official", "decoupled"])
def test_thresholds_have_no_distribution_to_match(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"decode.kind: {kind} does not have; use decode.kind: valid_states"):
        build_decoder(BLEMORE, kind, actor=np.zeros(3, int))


def test_the_mean_design_is_a_count_over_actors() -> None:
    state = np.array([0, 0, 3])
    np.testing.assert_array_equal(mean_design(BLEMORE, state, np.array([7, 7, 7]))[:4], [2, 0, 0, 1])
    np.testing.assert_array_equal(mean_design(BLEMORE, state, np.array([7, 8, 7]))[:4], [1, 0, 0, 0.5])
    assert not mean_design(BLEMORE, state[:0], state[:0]).any()
