"""A study's result from its trials' sums: the best trial's score, and the one to believe.

Source: ours. The best of many trials is lucky as well as good, so its own score is optimistic; choosing for each fold
on the other folds only takes that out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.errors import StudyError
from rfe.metrics.metric import Metric

Float = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TrialTotals:
    """Sums of the metrics of complete trials of one study, on the same clips and folds.

    Trials that are copies of others (`duplicate_of`) do no harm: ties go to the lowest number.
    """

    numbers: tuple[int, ...]
    """[trial]"""
    metrics: Mapping[str, Metric]
    """By name; `score` is always there."""
    totals: Mapping[str, Float]
    """Name -> [trial, fold, number], mean over seeds; see `Metric.totals`."""

    @classmethod
    def of(
        cls, numbers: Sequence[int], metrics: Mapping[str, Metric], totals: Sequence[Mapping[str, Float]]
    ) -> "TrialTotals":
        """From the sums [fold, number] of each trial.

        Raises:
            StudyError: no trial, or trials of other folds.
        """
        if not numbers:
            raise StudyError("the study has no complete trial, so it has no result")
        n_folds = sorted({len(one[name]) for one in totals for name in metrics})
        if len(n_folds) > 1:
            raise StudyError(f"trials differ in their folds: there are sums of {' and '.join(map(str, n_folds))}")
        stacked = {name: np.stack([np.asarray(one[name], np.float64) for one in totals]) for name in metrics}
        return cls(tuple(numbers), metrics, stacked)

    @property
    def n_folds(self) -> int:
        return int(self.totals["score"].shape[1])

    def pool(self, name: str, folds: NDArray[np.bool_] | slice = slice(None)) -> NDArray[np.float64]:
        """[trial] a metric of the sums over some folds.

        Raises:
            StudyError: the folds hold nothing that the score could be of, e.g. no blend.
        """
        values = self.metrics[name].value(self.totals[name][:, folds].sum(1))
        if name == "score" and not np.isfinite(values).any():
            raise StudyError("the folds hold no blend, so there is no salience to score")
        return values

    def first(self, n: int) -> "TrialTotals":
        """The first `n` trials alone."""
        return replace(self, numbers=self.numbers[:n], totals={name: one[:n] for name, one in self.totals.items()})


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
    best = _first_best(table.pool("score"), table.numbers)
    return _score(table, (best,) * table.n_folds)


def score_selected(table: TrialTotals) -> StudyScore:
    """For each fold the trial with the best score on the *other* folds; its sums on the fold, pooled.

    Fold k's labels have no part in choosing fold k's trial. Ties go to the lowest trial number.

    Raises:
        StudyError: there is only one fold, or other folds without a blend.
    """
    if table.n_folds < 2:
        raise StudyError("score_selected needs at least two folds")
    folds = np.arange(table.n_folds)
    chosen = (_first_best(table.pool("score", folds != fold), table.numbers) for fold in folds)
    return _score(table, tuple(chosen))


def _score(table: TrialTotals, chosen: tuple[int, ...]) -> StudyScore:
    """The pooled scores where each fold is answered by the trial at the position `chosen` [fold] names."""
    folds = np.arange(table.n_folds)
    pooled = {
        name: float(metric.value(table.totals[name][list(chosen), folds].sum(0)))
        for name, metric in table.metrics.items()
    }
    return StudyScore(
        pooled["score"],
        pooled["acc_presence"],
        pooled.get("acc_salience"),
        tuple(table.numbers[trial] for trial in chosen),
    )


def _first_best(scores: Float, numbers: Sequence[int]) -> int:
    # Means over seeds carry rounding; equal trials must not be told apart by it.
    best = np.flatnonzero(scores >= np.nanmax(scores) - 1e-12).tolist()
    return int(min(best, key=lambda index: numbers[index]))
