"""Logistic regression over the 16 sets and the 36 states, answered by expected score: the outside opinion.

Two scikit-learn models on the pool's standardised features side by side: one says which set, the other, within a
pair, which ratio. It has no gate, no heads and no decoder parameters, so what it reaches is what the features
give away.
"""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.data.folds import held_out_clips, training_clips
from rfe.decoding.valid_states import answer_states
from rfe.labels import N_EMOTIONS, N_SETS, N_STATES, PAIRS, STATE_IS_BLEND, STATE_SET


def answer_logistic(
    dataset: Dataset,
    cache: FeatureCache,
    encoders: Sequence[str],
    *,
    standardize: str,
    target_actors: str,
    reduce: int | None,
    strength: float,
    threads: int = 1,
) -> NDArray[np.int64]:
    """Out-of-fold answers; nothing of a fold's labels is used for its clips.

    Args:
        dataset: the data set.
        cache: its prepared features.
        encoders: whose features stand side by side; a missing encoder counts as the mean.
        standardize, target_actors, reduce: as in the configuration's `data` section.
        strength: scikit-learn's C, the inverse of the L2 penalty.
        threads: folds fitted at once.

    Returns:
        [source clip] states.
    """
    clips = dataset.clips
    predicted = np.full(clips.n_source, -1, np.int64)

    def answer_fold(fold: int) -> None:
        views = [
            cache.prepared(name, fold, standardize=standardize, target_actors=target_actors, reduce=reduce).values
            for name in encoders
        ]
        train, held_out = training_clips(clips, fold), held_out_clips(clips, fold)
        state = clips.state[train]
        features = np.concatenate([view[train] for view in views], axis=1)
        unseen = np.concatenate([view[held_out] for view in views], axis=1)
        sets = _probabilities(features, STATE_SET[state], unseen, N_SETS, strength)
        states = _probabilities(features, state, unseen, N_STATES, strength)
        predicted[held_out] = answer_states(_join(sets, states), float(STATE_IS_BLEND[state].mean()))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(answer_fold, clips.folds))
    return predicted


def _probabilities(
    features: NDArray[np.float32],
    label: NDArray[np.int64],
    unseen: NDArray[np.float32],
    n_classes: int,
    strength: float,
) -> NDArray[np.float64]:
    """[unseen clip, class]; 0 for classes that do not occur in training."""
    model = LogisticRegression(C=strength, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, label)
    probabilities = np.zeros((len(unseen), n_classes))
    probabilities[:, model.classes_] = model.predict_proba(unseen)
    return probabilities


def _join(sets: NDArray[np.float64], states: NDArray[np.float64]) -> NDArray[np.float64]:
    """[clip, 36] from [clip, 16] and [clip, 36]: sets by the one model, each pair split by the other's ratios."""
    by_ratio = states[:, N_EMOTIONS:].reshape(-1, len(PAIRS), 3) + 1e-12
    by_ratio /= by_ratio.sum(-1, keepdims=True)
    pairs = sets[:, N_EMOTIONS:, None] * by_ratio
    return np.concatenate([sets[:, :N_EMOTIONS], pairs.reshape(len(sets), -1)], axis=1)
