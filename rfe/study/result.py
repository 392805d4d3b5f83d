"""A study's result from its trials' hits: the best trial's score, and the one to believe.

Source: ours. The best of many trials is lucky as well as good, so its own score is optimistic; choosing for each fold
on the other folds only takes that out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfe.errors import StudyError

Float = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TrialHits:
    """Hits of complete trials of one study, on the same clips and folds.

    Trials that are copies of others (`duplicate_of`) do no harm: ties go to the lowest number.
    """

    numbers: tuple[int, ...]
    """[trial]"""
    presence: Float
    """[trial, fold] clips whose set is right, mean over seeds."""
    salience: Float
    """[trial, fold] true blends whose state is right, mean over seeds."""
    clips: Float
    """[fold] held-out clips."""
    blends: Float
    """[fold] held-out clips whose truth is a blend."""

    @classmethod
    def of(
        cls,
        numbers: Sequence[int],
        presence: Sequence[ArrayLike],
        salience: Sequence[ArrayLike],
        clips: ArrayLike,
        blends: ArrayLike,
    ) -> "TrialHits":
        """From one array for each trial.

        Raises:
            StudyError: no trial, or shapes that do not fit.
        """
        if not numbers:
            raise StudyError("the study has no complete trial, so it has no result")
        hits = cls(
            tuple(numbers),
            np.asarray(presence, float),
            np.asarray(salience, float),
            np.asarray(clips, float),
            np.asarray(blends, float),
        )
        shape = (len(hits.numbers), hits.clips.size)
        if hits.presence.shape != shape or hits.salience.shape != shape or hits.blends.shape != hits.clips.shape:
            raise StudyError(f"trials differ in their folds: hits must be {shape} (trial, fold)")
        return hits

    def first(self, n: int) -> "TrialHits":
        """The first `n` trials alone."""
        return replace(self, numbers=self.numbers[:n], presence=self.presence[:n], salience=self.salience[:n])


@dataclass(frozen=True)
class StudyScore:
    """`score_best` or `score_selected`, pooled over folds."""

    score: float
    acc_presence: float
    acc_salience: float
    trials: tuple[int, ...]
    """[fold] the trial whose hits on the fold are counted; all alike for `score_best`."""


def pooled_scores(presence: Float, salience: Float, clips: Float, blends: Float) -> tuple[Float, Float, Float]:
    """(score, acc_presence, acc_salience), each [...], of hits [..., fold]: sums over folds, then ratios.

    Raises:
        StudyError: the folds hold no clip or no blend.
    """
    if not clips.sum() or not blends.sum():
        raise StudyError("the folds hold no blend, so there is no salience to score")
    acc_presence, acc_salience = presence.sum(-1) / clips.sum(), salience.sum(-1) / blends.sum()
    return (acc_presence + acc_salience) / 2, acc_presence, acc_salience


def score_best(hits: TrialHits) -> StudyScore:
    """The best trial's own score: optimistic, since the same clips chose it."""
    scores, acc_presence, acc_salience = pooled_scores(hits.presence, hits.salience, hits.clips, hits.blends)
    best = _first_best(scores, hits.numbers)
    trials = (hits.numbers[best],) * hits.clips.size
    return StudyScore(float(scores[best]), float(acc_presence[best]), float(acc_salience[best]), trials)


def score_selected(hits: TrialHits) -> StudyScore:
    """For each fold the trial with the best score on the *other* folds; its hits on the fold, pooled.

    Fold k's hits have no part in choosing fold k's trial. Ties go to the lowest trial number.

    Raises:
        StudyError: there is only one fold, or other folds without a blend.
    """
    n_folds = hits.clips.size
    if n_folds < 2:
        raise StudyError("score_selected needs at least two folds")
    chosen = []
    for fold in range(n_folds):
        others = np.arange(n_folds) != fold
        scores, _, _ = pooled_scores(
            hits.presence[:, others], hits.salience[:, others], hits.clips[others], hits.blends[others]
        )
        chosen.append(_first_best(scores, hits.numbers))
    folds = np.arange(n_folds)
    score, acc_presence, acc_salience = pooled_scores(
        hits.presence[chosen, folds], hits.salience[chosen, folds], hits.clips, hits.blends
    )
    return StudyScore(
        float(score), float(acc_presence), float(acc_salience), tuple(hits.numbers[trial] for trial in chosen)
    )


def _first_best(scores: Float, numbers: Sequence[int]) -> int:
    # Means over seeds carry rounding; equal trials must not be told apart by it.
    best = np.flatnonzero(scores >= scores.max() - 1e-12).tolist()
    return int(min(best, key=lambda index: numbers[index]))
