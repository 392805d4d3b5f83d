"""Scores of answers, and the sums per fold that they are pooled from.

A pooled score is the metric of the sums over all folds; it is not the mean of the folds' scores. Sums are averaged over
seeds first, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.metrics.choice import score_parts
from rfe.metrics.metric import Metric
from rfe.task import Task

Int = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Scores:
    """The task's score and its parts.

    What was not measured is nan, which is not 0: `acc_salience` without a true blend, or where no ratio is asked.
    """

    acc_presence: float
    acc_salience: float
    score: float


@dataclass(frozen=True)
class FoldTotals:
    """Sums of metrics by fold; leading axes are trials, seeds, replicas or whatever the predictions had.

    The one way from answers to scores: all scores of a trial, a study or a baseline are pooled from these.

    Examples:
        >>> task, truth, answers = Task("ab", ("a", "b")), np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1])
        >>> totals = fold_totals(task, truth, answers, fold=np.array([0, 0, 1, 1]))
        >>> totals.score_by_fold.tolist(), float(totals.score), totals.without(1).score
        ([1.0, 0.5], 0.75, 1.0)
    """

    metrics: Mapping[str, Metric]
    """By name; `score` is always there."""
    totals: Mapping[str, NDArray[np.floating[Any]]]
    """Name -> [..., fold, number]; see `Metric.totals`."""

    @property
    def n_folds(self) -> int:
        return int(self.totals["score"].shape[-2])

    @property
    def score(self) -> NDArray[np.float64]:
        """[...] pooled score."""
        return self.pool("score")

    @property
    def score_by_fold(self) -> NDArray[np.float64]:
        """[..., fold] score of each fold; nan where it is not defined."""
        return self.by_fold("score")

    def __getitem__(self, index: Any) -> "FoldTotals":
        """Part of the sums, by what NumPy takes as an index of [..., fold]."""
        index = index if isinstance(index, tuple) else (index,)
        return FoldTotals(self.metrics, {name: one[(*index, slice(None))] for name, one in self.totals.items()})

    def pool(self, name: str) -> NDArray[np.float64]:
        """[...] a metric, pooled over folds; nan where the task has no such metric."""
        if name not in self.metrics:
            return np.full(self.totals["score"].shape[:-2], np.nan)
        return self.metrics[name].value(self.totals[name].sum(-2))

    def by_fold(self, name: str) -> NDArray[np.float64]:
        """[..., fold] a metric of each fold."""
        if name not in self.metrics:
            return np.full(self.totals["score"].shape[:-1], np.nan)
        return self.metrics[name].value(self.totals[name])

    def mean(self) -> "FoldTotals":
        """Sums averaged over all leading axes."""
        averaged = {name: one.mean(tuple(range(one.ndim - 2))) for name, one in self.totals.items()}
        return FoldTotals(self.metrics, averaged)

    def without(self, fold: int) -> Scores:
        """Scores pooled over all folds but the one at position `fold`."""
        return self[..., np.arange(self.n_folds) != fold].pooled()

    def pooled(self) -> Scores:
        """Scores of the sums over folds, averaged over leading axes."""
        mean = self.mean()
        return Scores(float(mean.pool("acc_presence")), float(mean.pool("acc_salience")), float(mean.score))


def fold_totals(
    task: Task,
    truth_state: Int,
    predicted_state: Int,
    fold: Int,
    folds: Sequence[int] | Int | None = None,
    metrics: Mapping[str, Metric] | None = None,
) -> FoldTotals:
    """Sums of each fold.

    Args:
        task: whose metrics they are.
        truth_state: [clip] true states.
        predicted_state: [..., clip] answers; -1 is no answer.
        fold: [clip] fold of each clip.
        folds: the folds to count, in this order; default all that occur, sorted.
        metrics: which, by name; default `score_parts`.

    Returns:
        Sums with the leading axes of `predicted_state`.

    Examples:
        >>> task, fold = Task("ab", ("a", "b")), np.array([0, 0, 1])
        >>> totals = fold_totals(task, np.array([0, 1, 1]), np.array([0, 0, 1]), fold)
        >>> totals.totals["score"].tolist()  # [fold, number]: right, all
        [[1.0, 2.0], [1.0, 1.0]]
    """
    order = np.unique(fold) if folds is None else np.asarray(folds)
    member = (fold[:, None] == order).astype(np.float32)  # [clip, fold]; counts below 2^24 are exact
    metrics = score_parts(task) if metrics is None else metrics
    totals = {name: one.totals(task, truth_state, predicted_state, member) for name, one in metrics.items()}
    return FoldTotals(metrics, totals)


def score(task: Task, truth_state: Int, predicted_state: Int) -> Scores:
    """The scores of one set of answers.

    Args:
        task: whose metric it is.
        truth_state: [clip] true states.
        predicted_state: [clip] answers; -1 is no answer. With leading axes the mean over them.

    Examples:
        >>> score(Task("ab", ("a", "b")), np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])).score
        0.75
    """
    return fold_totals(task, truth_state, predicted_state, np.zeros(len(truth_state), np.int64), [0]).pooled()
