"""The fast check of the interval machinery: hit tables from a random-effects model with a known difference."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import norm

from rfe.metrics.intervals import (
    FEW_ACTORS,
    FEWEST_ACTORS,
    NO_TEST,
    ONE_ANSWER,
    TOO_NARROW,
    InfluenceTable,
    Interval,
    difference_interval,
    score_interval,
    variance_of_influence,
)
from rfe.metrics.presence import presence_hits
from rfe.metrics.salience import salience_hits
from rfe.metrics.score import score
from rfe.task import BLEMORE

N_ACTORS, N_FOLDS, N_SEEDS, CLIPS = 47, 5, 5, 24
N_DRAWS = 1000
ACTOR = np.repeat(np.arange(N_ACTORS), CLIPS)
FOLD = ACTOR % N_FOLDS
BLEND = np.tile(np.arange(CLIPS) % 2 == 0, N_ACTORS)
# standard deviations of the latent skill: of a clip, of an actor, of an actor and of a fold x seed cell in one arm
CLIP, SHARED_ACTOR, ARM_ACTOR, CELL, NOISE = 0.7, 0.5, 0.2, 0.15, 0.7
TOTAL = np.sqrt(CLIP**2 + SHARED_ACTOR**2 + ARM_ACTOR**2 + CELL**2 + NOISE**2)
PRESENCE_BAR, SALIENCE_BAR = 0.3, 0.9


def expected_score(skill: float) -> float:
    """The Score of an arm in the population that `draw_arms` draws from."""
    return float(0.5 * norm.sf((PRESENCE_BAR - skill) / TOTAL) + 0.5 * norm.sf((SALIENCE_BAR - skill) / TOTAL))


def table_of_hits(presence: np.ndarray, salience: np.ndarray) -> InfluenceTable:
    """Score's table from hits [seed, clip]: half presence, half salience of the blends."""
    scores = 0.5 * presence.mean() + 0.5 * salience.sum() / (len(salience) * BLEND.sum())
    missing = BLEND * salience.sum() / (len(salience) * BLEND.sum())
    influence = 0.5 * (presence - presence.mean()) / len(BLEND) + 0.5 * (salience - missing) / BLEND.sum()
    return InfluenceTable({"score": float(scores)}, {"score": influence}, ACTOR, FOLD)


def draw_arms(rng: np.random.Generator, skills: tuple[float, ...]) -> list[InfluenceTable]:
    """One hit table per arm, on common clips and actors."""
    clip = CLIP * rng.normal(size=len(ACTOR)) + SHARED_ACTOR * rng.normal(size=N_ACTORS)[ACTOR]
    arms = []
    for skill in skills:
        of_actor = ARM_ACTOR * rng.normal(size=N_ACTORS)
        of_cell = CELL * rng.normal(size=(N_SEEDS, N_FOLDS))
        noise = NOISE * rng.normal(size=(N_SEEDS, len(ACTOR)))
        latent = skill + clip + of_actor[ACTOR] + of_cell[:, FOLD] + noise
        presence = (latent > PRESENCE_BAR).astype(float)
        arms.append(table_of_hits(presence, (latent > SALIENCE_BAR) * BLEND.astype(float)))
    return arms


def share_of(events: Iterator[bool]) -> float:
    return float(np.mean(list(events)))


@pytest.fixture(scope="module")
def differences() -> list[tuple[InfluenceTable, Interval]]:
    rng = np.random.default_rng(20)
    pairs = (draw_arms(rng, (0.0, 0.15)) for _ in range(N_DRAWS))
    return [(arm.minus(base), difference_interval(arm, base)) for base, arm in pairs]


def test_intervals_of_a_difference_cover_the_truth(differences: list[tuple[InfluenceTable, Interval]]) -> None:
    truth = expected_score(0.15) - expected_score(0.0)
    assert truth > 0.03
    covered = share_of(low <= truth <= high for low, high in (interval.bounds() for _, interval in differences))
    assert 0.93 <= covered <= 0.97


def test_equal_arms_differ_significantly_in_five_percent() -> None:
    rng = np.random.default_rng(21)
    intervals = (difference_interval(*draw_arms(rng, (0.0, 0.0))) for _ in range(N_DRAWS))
    rejected = share_of((interval.p_value or 0.0) < 0.05 for interval in intervals)
    assert 0.03 <= rejected <= 0.07


def test_resampling_clips_fails(differences: list[tuple[InfluenceTable, Interval]]) -> None:
    """A bootstrap over clips has this normal interval as its limit; it misses the truth far too often."""
    truth = expected_score(0.15) - expected_score(0.0)
    missed = []
    for table, interval in differences:
        each = len(BLEND) * table.influences["score"].mean(0)
        missed.append(abs(interval.estimate - truth) > 1.96 * each.std() / np.sqrt(len(each)))
    assert np.mean(missed) > 0.15


def test_intervals_of_a_score_cover_the_truth() -> None:
    rng = np.random.default_rng(22)
    bounds = (score_interval(draw_arms(rng, (0.1,))[0]).bounds() for _ in range(N_DRAWS))
    assert 0.93 <= share_of(low <= expected_score(0.1) <= high for low, high in bounds) <= 0.97


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, BLEMORE.n_states, len(ACTOR))
    return truth, np.where(rng.random((3, len(ACTOR))) < 0.4, truth, rng.integers(0, BLEMORE.n_states, (3, len(ACTOR))))


def test_estimate_is_the_mean_of_the_seeds_scores(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = answers
    table = InfluenceTable.of_answers(BLEMORE, truth, predicted, ACTOR, FOLD)
    scores = score(BLEMORE, truth, predicted)
    assert score_interval(table).estimate == pytest.approx(scores.score)
    assert score_interval(table, "acc_presence").estimate == pytest.approx(scores.acc_presence)
    assert score_interval(table, "acc_salience").estimate == pytest.approx(scores.acc_salience)
    assert score_interval(table).degrees_of_freedom == min(N_ACTORS - 1, N_FOLDS * 2)


def test_variance_follows_its_equation(answers: tuple[np.ndarray, np.ndarray]) -> None:
    """The same numbers, written out actor by actor."""
    truth, predicted = answers
    table = InfluenceTable.of_answers(BLEMORE, truth, predicted, ACTOR, FOLD)
    pooled, n_blends = score(BLEMORE, truth, predicted), BLEMORE.state_is_blend[truth].sum()
    psi = np.zeros((3, N_ACTORS))
    for s in range(3):
        for a in range(N_ACTORS):
            own, own_blend = a == ACTOR, (a == ACTOR) & BLEMORE.state_is_blend[truth]
            presence, salience = (hits(BLEMORE, truth, predicted[s]) for hits in (presence_hits, salience_hits))
            psi[s, a] = 0.5 * (presence[own] - pooled.acc_presence).sum() / len(truth)
            psi[s, a] += 0.5 * (salience[own_blend] - pooled.acc_salience).sum() / n_blends
    of_actors = N_ACTORS / (N_ACTORS - 1) * sum(psi[:, a].mean() ** 2 for a in range(N_ACTORS))
    of_seeds = of_residual = 0.0
    for k in range(N_FOLDS):
        cell = psi[:, np.arange(N_ACTORS) % N_FOLDS == k]
        size = cell.shape[1]
        of_seeds += size**2 / 3 * np.var(cell.mean(1), ddof=1)
        rest = cell - cell.mean(1, keepdims=True) - cell.mean(0, keepdims=True) + cell.mean()
        of_residual += size / 3 * (rest**2).sum() / ((size - 1) * 2)
    expected = np.sqrt(of_actors + max(0.0, of_seeds - of_residual))
    assert score_interval(table).standard_error == pytest.approx(expected, rel=1e-10)


def test_seed_variance_counts_where_it_exceeds_the_residual() -> None:
    influence = np.array([[1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, -1.0]])
    assert variance_of_influence(influence, np.array([0, 0, 1, 1])) == pytest.approx(2 * 2**2 / 2 * 2)


def test_one_seed_is_flagged_and_has_no_p_value(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = answers
    first, second = (InfluenceTable.of_answers(BLEMORE, truth, predicted[s], ACTOR, FOLD) for s in (0, 1))
    interval = difference_interval(first, second)
    assert interval.notes == (NO_TEST,)
    assert score_interval(first).notes == (ONE_ANSWER,)
    assert interval.p_value is None
    assert interval.probability_better is None
    assert interval.degrees_of_freedom == N_ACTORS - 1
    assert interval.standard_error > 0


def test_without_actors_the_interval_is_over_clips_and_says_so(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = answers
    interval = score_interval(InfluenceTable.of_answers(BLEMORE, truth, predicted[0]))
    assert TOO_NARROW in interval.notes
    assert interval.n_actors == len(truth)


def test_identical_arms_do_not_differ(answers: tuple[np.ndarray, np.ndarray]) -> None:
    table = InfluenceTable.of_answers(BLEMORE, *answers, ACTOR, FOLD)
    interval = difference_interval(table, table)
    assert interval.bounds() == (0.0, 0.0)
    assert interval.p_value == 1.0
    assert interval.probability_better == 0.5


def test_ends_of_a_share_stay_between_0_and_1_and_those_of_a_difference_do_not() -> None:
    actor = np.repeat(np.arange(3), 10)
    truth = np.full(30, BLEMORE.n_states - 1)
    almost = np.where(np.arange(30) == 0, 0, truth)  # one of 30 clips wrong: the t interval reaches beyond 1
    right, wrong = (
        InfluenceTable.of_answers(BLEMORE, truth, one, actor) for one in (almost, np.where(almost == 0, truth, 0))
    )
    low, high = score_interval(right).bounds()
    assert 0 < low < score_interval(right).estimate < high == 1
    low, high = score_interval(wrong).bounds()
    assert 0 == low < score_interval(wrong).estimate < high < 1
    low, high = difference_interval(right, wrong).bounds()
    assert high > 1
    assert low + high == pytest.approx(2 * difference_interval(right, wrong).estimate)


@pytest.mark.parametrize(("n_actors", "expected"), [(FEWEST_ACTORS - 1, (FEW_ACTORS,)), (FEWEST_ACTORS, ())])
def test_few_actors_are_said(n_actors: int, expected: tuple[str, ...]) -> None:
    truth, actor = np.arange(4 * n_actors) % BLEMORE.n_states, np.repeat(np.arange(n_actors), 4)
    predicted = np.where(np.random.default_rng(1).random((2, len(truth))) < 0.5, truth, 0)
    assert score_interval(InfluenceTable.of_answers(BLEMORE, truth, predicted, actor), "acc_presence").notes == expected


def test_p_value_agrees_with_the_interval(differences: list[tuple[InfluenceTable, Interval]]) -> None:
    for _, interval in differences[:50]:
        low, high = interval.bounds(0.95)
        assert interval.p_value is not None
        assert (interval.p_value < 0.05) == (low > 0 or high < 0)
        assert interval.smallest_detectable > high - interval.estimate


def test_arms_on_different_clips_are_refused(answers: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = answers
    table = InfluenceTable.of_answers(BLEMORE, truth, predicted, ACTOR, FOLD)
    with pytest.raises(ValueError, match="same clips"):
        difference_interval(table, InfluenceTable.of_answers(BLEMORE, truth, predicted[:2], ACTOR, FOLD))


def test_nothing_to_measure_is_said_not_computed() -> None:
    interval = score_interval(InfluenceTable.of_answers(BLEMORE, np.zeros(4, int), np.zeros((2, 4), int), np.arange(4)))
    assert np.isnan(interval.estimate)
    assert "true blend" in interval.notes[0]


def test_one_actor_has_no_interval() -> None:
    interval = score_interval(
        InfluenceTable.of_answers(BLEMORE, np.arange(6), np.arange(6), np.zeros(6, int)), "acc_presence"
    )
    assert interval.estimate == 1.0
    assert np.isnan(interval.standard_error)


def test_every_json_has_the_same_keys_and_null_where_nothing_was_measured(
    answers: tuple[np.ndarray, np.ndarray],
) -> None:
    table = InfluenceTable.of_answers(BLEMORE, *answers, ACTOR, FOLD)
    score, difference = score_interval(table), difference_interval(table, table)
    known = {
        "estimate",
        "standard_error",
        "degrees_of_freedom",
        "low",
        "high",
        "paired",
        "n_seeds",
        "n_actors",
        "notes",
    }
    assert score.to_dict().keys() == known
    assert difference.to_dict().keys() == known | {"p_value", "probability_better", "smallest_detectable"}
    for one in (score, difference):
        found = json.loads(json.dumps(one.to_dict(), allow_nan=False))
        assert (found["low"], found["high"]) == one.bounds()
    actor = InfluenceTable.of_answers(BLEMORE, np.arange(6), np.arange(6), np.zeros(6, int))
    found = score_interval(actor, "acc_presence").to_dict()
    assert (found["estimate"], found["low"], found["high"], found["standard_error"]) == (1.0, None, None, None)


def test_the_interval_of_a_share_is_that_of_a_mean_over_actors() -> None:
    hits = np.array([[1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]])
    actor = np.arange(8)
    each = score_interval(InfluenceTable.of_hits("recall", hits, actor, np.zeros(8, np.int64)), "recall")
    assert each.estimate == pytest.approx(0.75)
    assert each.standard_error == pytest.approx(hits.std(ddof=1) / np.sqrt(8))


def test_the_mean_of_tables_is_taken_table_by_table() -> None:
    hits = np.random.default_rng(0).integers(0, 2, (3, 2, 6)).astype(float)
    one = InfluenceTable.mean_of([InfluenceTable.of_hits("recall", each) for each in hits])
    assert one.influences["recall"].shape == (2, 6)
    assert one.estimates["recall"] == pytest.approx(hits.mean())
    np.testing.assert_allclose(one.influences["recall"].sum(1), (hits.mean(0) - hits.mean()).mean(1))


def test_clips_of_unknown_actors_stand_each_for_itself() -> None:
    hits = np.array([[1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0]])
    fold = np.zeros(8, np.int64)
    some, own = (
        score_interval(InfluenceTable.of_hits("recall", hits, np.array(actor), fold), "recall")
        for actor in ([-1, -1, -1, 0, 1, 2, 3, 4], [5, 6, 7, 0, 1, 2, 3, 4])
    )
    assert some.standard_error == pytest.approx(own.standard_error)
    assert some.n_actors == 8
