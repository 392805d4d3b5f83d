"""Score = (ACC_presence + ACC_salience) / 2, and the hits per fold it is pooled from.

Source: the BlEmoRE challenge (arXiv 2601.13225). A pooled score divides the hits of all folds by the clips (blends) of
all folds; it is not the mean of the folds' scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.labels import STATE_IS_BLEND
from rfe.metrics.presence import presence_hits
from rfe.metrics.salience import salience_hits

Int = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Scores:
    """The three official numbers and what they were counted over.

    Without a true blend `acc_salience`, and with it `score`, is nan: it was not measured, which is not 0.
    """

    acc_presence: float
    acc_salience: float
    score: float
    n_clips: int
    n_blends: int


@dataclass(frozen=True)
class FoldHits:
    """Hits and their denominators by fold; leading axes are seeds, replicas or whatever the predictions had."""

    presence: NDArray[np.float64]
    """[..., fold] clips whose set is right."""
    salience: NDArray[np.float64]
    """[..., fold] true blends whose state is right."""
    clips: NDArray[np.int64]
    """[fold] clips."""
    blends: NDArray[np.int64]
    """[fold] true blends."""

    @property
    def score(self) -> NDArray[np.float64]:
        """[...] pooled Score; nan without a true blend."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(
                0.5 * self.presence.sum(-1) / self.clips.sum() + 0.5 * self.salience.sum(-1) / self.blends.sum()
            )

    @property
    def score_by_fold(self) -> NDArray[np.float64]:
        """[..., fold] Score of each fold; nan where a fold has no true blend."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(0.5 * self.presence / self.clips + 0.5 * self.salience / self.blends)

    def mean(self) -> "FoldHits":
        """Hits averaged over all leading axes; its pooled score is the mean of their pooled scores."""
        axes = tuple(range(self.presence.ndim - 1))
        return FoldHits(self.presence.mean(axes), self.salience.mean(axes), self.clips, self.blends)

    def only(self, fold: int) -> "FoldHits":
        """The fold at position `fold`, as hits of a single fold."""
        return self._keep(np.array([fold]))

    def without(self, fold: int) -> Scores:
        """Scores pooled over all folds but the one at position `fold`."""
        return self._keep(np.delete(np.arange(len(self.clips)), fold)).pooled()

    def pooled(self) -> Scores:
        """Scores pooled over folds, meaned over leading axes."""
        mean = self.mean()
        n_clips, n_blends = int(self.clips.sum()), int(self.blends.sum())
        acc_presence = float(mean.presence.sum()) / n_clips if n_clips else float("nan")
        acc_salience = float(mean.salience.sum()) / n_blends if n_blends else float("nan")
        return Scores(acc_presence, acc_salience, 0.5 * acc_presence + 0.5 * acc_salience, n_clips, n_blends)

    def _keep(self, folds: Int) -> "FoldHits":
        return FoldHits(self.presence[..., folds], self.salience[..., folds], self.clips[folds], self.blends[folds])


def fold_hits(truth_state: Int, predicted_state: Int, fold: Int, folds: Sequence[int] | Int | None = None) -> FoldHits:
    """Count the hits of each fold.

    Args:
        truth_state: [clip] true states.
        predicted_state: [..., clip] answers; -1 is no answer.
        fold: [clip] fold of each clip.
        folds: the folds to count, in this order; default all that occur, sorted.

    Returns:
        Hits with the leading axes of `predicted_state`.
    """
    order = np.unique(fold) if folds is None else np.asarray(folds)
    member = (fold[:, None] == order).astype(np.float32)  # [clip, fold]; sums below 2^24 are exact
    blend = STATE_IS_BLEND[truth_state]
    return FoldHits(
        (presence_hits(truth_state, predicted_state).astype(np.float32) @ member).astype(np.float64),
        (salience_hits(truth_state, predicted_state).astype(np.float32) @ member).astype(np.float64),
        member.sum(0).astype(np.int64),
        member[blend].sum(0).astype(np.int64),
    )


def score(truth_state: Int, predicted_state: Int) -> Scores:
    """The official scores of one set of answers.

    Args:
        truth_state: [clip] true states.
        predicted_state: [clip] answers; -1 is no answer. With leading axes the mean over them.
    """
    return fold_hits(truth_state, predicted_state, np.zeros(len(truth_state), np.int64), [0]).pooled()
