"""score_best and score_selected on planted sums."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from rfe.errors import StudyError
from rfe.metrics.choice import score_parts
from rfe.metrics.score import FoldTotals
from rfe.study import TrialTotals, score_best, score_selected
from rfe.task import BLEMORE

CLIPS, BLENDS = np.array([10, 20, 30]), np.array([5, 10, 10])


Rows = Sequence[Sequence[float]] | np.ndarray


def totals_of(
    presence: Rows,
    salience: Rows,
    numbers: Sequence[int] | None = None,
    clips: Sequence[int] | np.ndarray = CLIPS,
    blends: Sequence[int] | np.ndarray = BLENDS,
) -> TrialTotals:
    """From hits [trial, fold] and the folds' sizes."""
    each = [
        {  # [fold, number] of each metric
            "score": np.array([*zip(right, exact, clips, blends, strict=False)], float),
            "acc_presence": np.array([*zip(right, clips, strict=False)], float),
            "acc_salience": np.array([*zip(exact, blends, strict=False)], float),
        }
        for right, exact in zip(presence, salience, strict=True)
    ]
    return TrialTotals.of(numbers or range(len(each)), [FoldTotals(score_parts(BLEMORE), one) for one in each])


def test_one_trial_has_one_score() -> None:
    one = totals_of([[5, 10, 15]], [[1, 2, 2]])
    for result in (score_best(one), score_selected(one)):
        assert result.acc_presence == pytest.approx(30 / 60)
        assert result.acc_salience == pytest.approx(5 / 25)
        assert result.score == pytest.approx((0.5 + 0.2) / 2)
        assert result.trials == (0, 0, 0)


def test_each_folds_trial_is_the_best_on_the_others() -> None:
    # Trial 7 is the best on folds 1 and 2, trial 9 on folds 0 and 2, trial 4 on folds 0 and 1; each fails on the rest.
    presence = [[0, 20, 15], [10, 0, 15], [10, 20, 0]]
    result = score_selected(totals_of(presence, [[0, 0, 0]] * 3, (7, 9, 4)))
    assert result.trials == (7, 9, 4)
    assert result.acc_presence == 0.0
    best = score_best(totals_of(presence, [[0, 0, 0]] * 3, (7, 9, 4)))
    assert best.trials == (7, 7, 7)
    assert best.acc_presence == pytest.approx(35 / 60)


def test_scores_are_pooled_over_clips_not_averaged_over_folds() -> None:
    # By the mean over folds trial 0 would win the two others (1.0 + 0 against 0.4 + 0.4), by clips trial 1 does.
    result = score_best(totals_of([[10, 0, 0], [4, 8, 12]], [[0, 0, 0]] * 2))
    assert result.trials == (1, 1, 1)
    assert result.acc_presence == pytest.approx(24 / 60)


def test_salience_counts_over_blends() -> None:
    result = score_selected(totals_of([[5, 10, 15], [5, 10, 15]], [[0, 0, 0], [1, 5, 5]]))
    assert result.trials == (1, 1, 1)
    assert result.acc_salience == pytest.approx(11 / 25)


def test_choosing_for_a_fold_never_reads_its_hits() -> None:
    rng = np.random.default_rng(0)
    presence = rng.integers(0, 10, (30, 3)).astype(float)
    salience = rng.integers(0, 5, (30, 3)).astype(float)
    plain = score_selected(totals_of(presence, salience))
    for fold in range(3):
        changed, blends = presence.copy(), salience.copy()
        changed[:, fold] = rng.permutation(changed[:, fold])
        blends[:, fold] = rng.permutation(blends[:, fold])
        other = score_selected(totals_of(changed, blends))
        assert other.trials[fold] == plain.trials[fold]
    assert plain.score <= score_best(totals_of(presence, salience)).score


def test_it_agrees_with_the_definition_written_out() -> None:
    rng = np.random.default_rng(1)
    presence, salience = rng.random((6, 3)) * CLIPS, rng.random((6, 3)) * BLENDS
    result = score_selected(totals_of(presence, salience))
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
        both = totals_of(presence, salience)
        best.append(score_best(both).score)
        selected.append(score_selected(both).score)
    assert np.mean(best) > 0.38  # the truth is 0.3
    assert np.mean(selected) == pytest.approx(0.3, abs=0.02)


def test_ties_go_to_the_lowest_number_in_any_order() -> None:
    rows = [[5.0, 10, 15], [5.0, 10, 15 + 1e-14], [1.0, 1, 1]]
    for order in itertools.permutations(range(3)):
        numbers = tuple((8, 3, 5)[i] for i in order)
        tied = totals_of([rows[i] for i in order], [[1, 1, 1]] * 3, numbers)
        assert score_best(tied).trials == (3, 3, 3)
        assert score_selected(tied).trials == (3, 3, 3)


def test_what_has_no_result_is_said() -> None:
    with pytest.raises(StudyError, match="no complete trial"):
        totals_of([], [])
    with pytest.raises(StudyError, match="differ in their folds"):
        totals_of([[1, 2], [1, 2, 3]], [[1, 2], [1, 2, 3]])
    with pytest.raises(StudyError, match="at least two folds"):
        score_selected(totals_of([[1]], [[1]], clips=[3], blends=[2]))
    with pytest.raises(StudyError, match="no blend"):
        score_best(totals_of([[1, 1]], [[0, 0]], clips=[3, 3], blends=[0, 0]))
