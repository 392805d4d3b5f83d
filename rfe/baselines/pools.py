"""The pools a baseline may choose from: all encoders, and the few best alone, told without the reported fold."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.data.scores import answer_totals
from rfe.metrics.score import FoldTotals
from rfe.training.classical import answer_classical, logistic

BEST = 2
"""So many encoders are in the smaller pool, where there are more."""
WIDE = 256
"""Encoders wider than this are reduced by PCA to as many dimensions for scikit-learn's models."""
ALONE = logistic(1.0e-2)
"""Tells which encoders are best alone."""

Pools = Mapping[str, Mapping[int, tuple[str, ...]]]
"""Label -> fold -> encoders."""


def baseline_pools(dataset: Dataset, cache: FeatureCache, target_actors: str, threads: int) -> Pools:
    """All encoders, and the `BEST` with the highest Score of logistic regression alone, on the other folds.

    Args:
        dataset: the data set.
        cache: its prepared features.
        target_actors: what held-out folds tell of their actors.
        threads: folds fitted at once.

    Returns:
        Label -> held-out fold -> encoders; one pool only where the data has no more than `BEST`.
    """
    names, folds = tuple(dataset.encoders), dataset.clips.folds
    pools = {"all encoders": dict.fromkeys(folds, names)}
    if len(names) > BEST:
        alone = {name: _alone(name, dataset, cache, target_actors, threads) for name in names}
        pools[f"best {BEST} encoders"] = {
            fold: _best(names, {name: hits.without(position).score for name, hits in alone.items()})
            for position, fold in enumerate(folds)
        }
    return pools


def reduced_dim(dataset: Dataset) -> int | None:
    """Dimensions that scikit-learn's models are given of each encoder; None where none is wide."""
    return WIDE if max(encoder.dim for encoder in dataset.encoders.values()) > WIDE else None


def hits_of(predicted_state: NDArray[np.int64], dataset: Dataset) -> FoldTotals:
    """Hits of answers [seed, source clip], mean over seeds."""
    return answer_totals(dataset.clips, predicted_state).mean()


def _alone(name: str, dataset: Dataset, cache: FeatureCache, target_actors: str, threads: int) -> FoldTotals:
    """Hits of one encoder alone, standardised over the training clips."""
    answers = answer_classical(
        dataset,
        cache,
        dict.fromkeys(dataset.clips.folds, (name,)),
        ALONE,
        standardize="fold",
        target_actors=target_actors,
        reduce=reduced_dim(dataset),
        threads=threads,
    )
    return hits_of(answers[None], dataset)


def _best(names: tuple[str, ...], score: Mapping[str, float]) -> tuple[str, ...]:
    """The `BEST` with the highest score, in their own order."""
    ranked = sorted(names, key=lambda name: -score[name])
    return tuple(sorted(ranked[:BEST], key=names.index))
