"""A study's scores from its trials' sums: the best trial's (optimistic) and the selected one (unbiased by selection).

Source: ours. The best of many trials is lucky as well as good, so its own score is optimistic; choosing for each fold
on the other folds only takes that out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rfe.errors import StudyError
from rfe.metrics.score import FoldTotals


@dataclass(frozen=True)
class TrialTotals:
    """Complete trials of one study, on the same clips and folds.

    Trials that are copies of others (`duplicate_of`) do no harm: ties go to the lowest number.
    """

    numbers: tuple[int, ...]
    """[trial]"""
    totals: FoldTotals
    """[trial, fold], mean over seeds."""

    @classmethod
    def of(cls, numbers: Sequence[int], trials: Sequence[FoldTotals]) -> "TrialTotals":
        """From the sums [fold] of each trial.

        Raises:
            StudyError: no trial, or trials of other folds.
        """
        if not numbers:
            raise StudyError("the study has no complete trial, so it has no result")
        if len(n_folds := sorted({one.n_folds for one in trials})) > 1:
            raise StudyError(f"trials differ in their folds: there are sums of {' and '.join(map(str, n_folds))}")
        metrics = trials[0].metrics
        stacked = {name: np.stack([one.totals[name] for one in trials]) for name in metrics}
        return cls(tuple(numbers), FoldTotals(metrics, stacked))

    def first(self, n: int) -> "TrialTotals":
        """The first `n` trials alone."""
        return TrialTotals(self.numbers[:n], self.totals[:n])


@dataclass(frozen=True)
class StudyScore:
    """`score_best` or `score_selected`, pooled over folds."""

    score: float
    acc_presence: float
    acc_salience: float | None
    """None where the task asks no ratio."""
    trials: tuple[int, ...]
    """[fold] the trial whose sums on the fold are counted; all alike for `score_best`."""


def score_best(table: TrialTotals) -> StudyScore:
    """The best trial's own score: optimistic, since the same clips chose it."""
    return _score(table, (_first_best(table.totals, table.numbers),) * table.totals.n_folds)


def score_selected(table: TrialTotals) -> StudyScore:
    """For each fold the trial with the best score on the *other* folds; its sums on the fold, pooled.

    Fold k's labels have no part in choosing fold k's trial. Ties go to the lowest trial number.

    Raises:
        StudyError: there is only one fold, or other folds without a blend.
    """
    folds = np.arange(table.totals.n_folds)
    if len(folds) < 2:
        raise StudyError("score_selected needs at least two folds")
    return _score(table, tuple(_first_best(table.totals[:, folds != fold], table.numbers) for fold in folds))


def _score(table: TrialTotals, chosen: tuple[int, ...]) -> StudyScore:
    """The pooled scores where each fold is answered by the trial at the position `chosen` [fold] names."""
    pooled = table.totals[list(chosen), np.arange(len(chosen))].pooled()
    salience = pooled.acc_salience if "acc_salience" in table.totals.metrics else None
    numbers = tuple(table.numbers[trial] for trial in chosen)
    return StudyScore(pooled.score, pooled.acc_presence, salience, numbers)


def _first_best(totals: FoldTotals, numbers: Sequence[int]) -> int:
    """Position of the trial with the best score on some folds.

    Raises:
        StudyError: the folds hold nothing that the score could be of, e.g. no blend.
    """
    scores = totals.score
    if not np.isfinite(scores).any():
        raise StudyError("the folds hold no blend, so there is no salience to score")
    # Means over seeds carry rounding; equal trials must not be told apart by it.
    best = np.flatnonzero(scores >= np.nanmax(scores) - 1e-12).tolist()
    return int(min(best, key=lambda index: numbers[index]))
