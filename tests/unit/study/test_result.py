"""score_best and score_selected on planted hits."""

import itertools

import numpy as np
import pytest

from rfe.errors import StudyError
from rfe.study import TrialHits, score_best, score_selected

CLIPS, BLENDS = np.array([10, 20, 30]), np.array([5, 10, 10])


def hits(presence: list[list[float]], salience: list[list[float]], numbers: tuple[int, ...] | None = None) -> TrialHits:
    return TrialHits.of(numbers or tuple(range(len(presence))), presence, salience, CLIPS, BLENDS)


def test_one_trial_has_one_score() -> None:
    one = hits([[5, 10, 15]], [[1, 2, 2]])
    for result in (score_best(one), score_selected(one)):
        assert result.acc_presence == pytest.approx(30 / 60)
        assert result.acc_salience == pytest.approx(5 / 25)
        assert result.score == pytest.approx((0.5 + 0.2) / 2)
        assert result.trials == (0, 0, 0)


def test_each_folds_trial_is_the_best_on_the_others() -> None:
    # Trial 7 is the best on folds 1 and 2, trial 9 on folds 0 and 2, trial 4 on folds 0 and 1; each fails on the rest.
    presence = [[0, 20, 15], [10, 0, 15], [10, 20, 0]]
    result = score_selected(hits(presence, [[0, 0, 0]] * 3, (7, 9, 4)))
    assert result.trials == (7, 9, 4)
    assert result.acc_presence == 0.0
    best = score_best(hits(presence, [[0, 0, 0]] * 3, (7, 9, 4)))
    assert best.trials == (7, 7, 7)
    assert best.acc_presence == pytest.approx(35 / 60)


def test_scores_are_pooled_over_clips_not_averaged_over_folds() -> None:
    # By the mean over folds trial 0 would win the two others (1.0 + 0 against 0.4 + 0.4), by clips trial 1 does.
    result = score_best(hits([[10, 0, 0], [4, 8, 12]], [[0, 0, 0]] * 2))
    assert result.trials == (1, 1, 1)
    assert result.acc_presence == pytest.approx(24 / 60)


def test_salience_counts_over_blends() -> None:
    result = score_selected(hits([[5, 10, 15], [5, 10, 15]], [[0, 0, 0], [1, 5, 5]]))
    assert result.trials == (1, 1, 1)
    assert result.acc_salience == pytest.approx(11 / 25)


def test_choosing_for_a_fold_never_reads_its_hits() -> None:
    rng = np.random.default_rng(0)
    presence = rng.integers(0, 10, (30, 3)).astype(float)
    salience = rng.integers(0, 5, (30, 3)).astype(float)
    plain = score_selected(hits(presence.tolist(), salience.tolist()))
    for fold in range(3):
        changed, blends = presence.copy(), salience.copy()
        changed[:, fold] = rng.permutation(changed[:, fold])
        blends[:, fold] = rng.permutation(blends[:, fold])
        other = score_selected(hits(changed.tolist(), blends.tolist()))
        assert other.trials[fold] == plain.trials[fold]
    assert plain.score <= score_best(hits(presence.tolist(), salience.tolist())).score


def test_it_agrees_with_the_definition_written_out() -> None:
    rng = np.random.default_rng(1)
    presence, salience = rng.random((6, 3)) * CLIPS, rng.random((6, 3)) * BLENDS
    result = score_selected(hits(presence.tolist(), salience.tolist()))
    right = np.zeros(2)
    for fold in range(3):
        others = [k for k in range(3) if k != fold]
        scores = [
            presence[t, others].sum() / CLIPS[others].sum() / 2 + salience[t, others].sum() / BLENDS[others].sum() / 2
            for t in range(6)
        ]
        assert result.trials[fold] == int(np.argmax(scores))
        right += presence[np.argmax(scores), fold], salience[np.argmax(scores), fold]
    assert result.score == pytest.approx((right[0] / 60 + right[1] / 25) / 2)


def test_the_selected_score_of_equal_trials_is_not_lucky() -> None:
    rng = np.random.default_rng(2)
    best, selected = [], []
    for _ in range(200):
        presence, salience = rng.binomial(CLIPS, 0.3, (50, 3)), rng.binomial(BLENDS, 0.3, (50, 3))
        both = TrialHits.of(range(50), list(presence), list(salience), CLIPS, BLENDS)
        best.append(score_best(both).score)
        selected.append(score_selected(both).score)
    assert np.mean(best) > 0.38  # the truth is 0.3
    assert np.mean(selected) == pytest.approx(0.3, abs=0.02)


def test_ties_go_to_the_lowest_number_in_any_order() -> None:
    rows = [[5.0, 10, 15], [5.0, 10, 15 + 1e-14], [1.0, 1, 1]]
    for order in itertools.permutations(range(3)):
        numbers = tuple((8, 3, 5)[i] for i in order)
        tied = hits([rows[i] for i in order], [[1, 1, 1]] * 3, numbers)
        assert score_best(tied).trials == (3, 3, 3)
        assert score_selected(tied).trials == (3, 3, 3)


def test_what_has_no_result_is_said() -> None:
    with pytest.raises(StudyError, match="no complete trial"):
        TrialHits.of([], [], [], CLIPS, BLENDS)
    with pytest.raises(StudyError, match="differ in their folds"):
        hits([[1, 2]], [[1, 2, 3]])
    with pytest.raises(StudyError, match="at least two folds"):
        score_selected(TrialHits.of([0], [[1]], [[1]], [3], [2]))
    with pytest.raises(StudyError, match="no blend"):
        score_best(TrialHits.of([0], [[1, 1]], [[0, 0]], [3, 3], [0, 0]))
