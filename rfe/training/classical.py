"""scikit-learn baselines, decoded by expected score.

Each says which of the task's sets a clip shows and, within a pair, which ratio, from the pool's standardised features
side by side. They have no gate, no heads and no decoder parameters, so what they reach is what the features give away.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.data.folds import held_out_clips, training_clips
from rfe.decoding.valid_states import answer_states
from rfe.metrics.metric import LabelShares
from rfe.task import Task

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
StateModel = Callable[[Task, Float32, NDArray[np.int64], Float32], Float64]
"""(task, features [training clip, dim], states [training clip], unseen [clip, dim]) -> [clip, state] probabilities."""


def answer_classical(
    dataset: Dataset,
    cache: FeatureCache,
    pools: Mapping[int, Sequence[str]],
    model: StateModel,
    *,
    standardize: str,
    target_actors: str,
    reduce: int | None,
    threads: int = 1,
) -> NDArray[np.int64]:
    """Compute out-of-fold answers; no label of a fold is used for its clips.

    Args:
        dataset: the data set.
        cache: its prepared features.
        pools: fold -> encoders whose features stand side by side; a missing encoder counts as the mean.
        model: `logistic` or `boosted`.
        standardize, target_actors, reduce: as in the configuration's `data` section.
        threads: folds fitted at once.

    Returns:
        [source clip] states.
    """
    clips = dataset.clips
    predicted = np.full(clips.n_source, -1, np.int64)

    def answer_fold(fold: int) -> None:
        views = [
            cache.prepared(name, fold, standardize=standardize, target_actors=target_actors, reduce=reduce).values
            for name in pools[fold]
        ]
        train, held_out = training_clips(clips, fold), held_out_clips(clips, fold)
        state = clips.state[train]
        features = np.concatenate([view[train] for view in views], axis=1)
        unseen = np.concatenate([view[held_out] for view in views], axis=1)
        with threadpool_limits(1, "openmp"):  # counts for this thread only: the folds are what runs side by side
            probabilities = model(clips.task, features, state, unseen)
        predicted[held_out] = answer_states(clips.task, probabilities, LabelShares.of(clips.task, state))

    # BLAS is limited for the whole process: its threads would be as many again for each fold
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(answer_fold, clips.folds))
    return predicted


def logistic(strength: float) -> StateModel:
    """Two logistic regressions: one over the sets, one over the states, which splits each pair by its ratios, if any.

    Args:
        strength: scikit-learn's C, the inverse of the L2 penalty.
    """

    def make() -> LogisticRegression:
        return LogisticRegression(C=strength, max_iter=200)

    def probabilities(task: Task, features: Float32, state: NDArray[np.int64], unseen: Float32) -> Float64:
        sets = _fit_predict(make(), features, task.state_set[state], unseen, task.n_sets)
        if not task.has_ratios:
            return sets
        states = _fit_predict(make(), features, state, unseen, task.n_states)
        return _join(task, sets, states[:, task.n_classes :].reshape(-1, task.n_pairs, task.n_ratios))

    return probabilities


def boosted(learning_rate: float, iterations: int) -> "Boosted":
    """See `Boosted`."""
    return Boosted(learning_rate, iterations)


def with_model_seed(model: StateModel, seed: int) -> StateModel:
    """The model with another seed; itself where it has none."""
    return replace(model, seed=seed) if isinstance(model, Boosted) else model


@dataclass(frozen=True)
class Boosted:
    """Two gradient-boosted ensembles of trees: one over the sets, one over a blend's ratios, if any, given the
    pair."""

    learning_rate: float
    """Shrinkage of each tree."""
    iterations: int
    """Trees for each class."""
    seed: int = 0
    """Of the features that each split looks at."""

    def __call__(self, task: Task, features: Float32, state: NDArray[np.int64], unseen: Float32) -> Float64:
        """[unseen clip, state] probabilities; see `StateModel`."""
        sets = _fit_predict(self._make(), features, task.state_set[state], unseen, task.n_sets)
        if not task.has_ratios:
            return sets
        blend = task.state_is_blend[state]
        pair, ratio = np.divmod(state[blend] - task.n_classes, task.n_ratios)
        told = np.eye(task.n_pairs, dtype=np.float32)
        train = np.concatenate([features[blend], told[pair]], axis=1)
        asked = np.concatenate(
            [np.repeat(unseen, task.n_pairs, axis=0), np.tile(told, (len(unseen), 1))], axis=1
        )  # [clip * pair, dim + pair]
        ratios = _fit_predict(self._make(), train, ratio, asked, task.n_ratios)
        return _join(task, sets, ratios.reshape(-1, task.n_pairs, task.n_ratios))

    def _make(self) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.iterations,
            max_leaf_nodes=8,
            min_samples_leaf=10,
            l2_regularization=1.0,
            max_features=0.1,
            early_stopping=False,
            random_state=self.seed,
        )


def _fit_predict(
    model: LogisticRegression | HistGradientBoostingClassifier,
    features: Float32,
    label: NDArray[np.int64],
    unseen: Float32,
    n_classes: int,
) -> Float64:
    """[unseen clip, class]; 0 for classes that do not occur in training."""
    probabilities = np.zeros((len(unseen), n_classes))
    classes = np.unique(label)
    if len(classes) == 1:  # which scikit-learn refuses, or answers with two columns
        probabilities[:, classes[0]] = 1.0
        return probabilities
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, label)
    probabilities[:, model.classes_] = model.predict_proba(unseen)
    return probabilities


def _join(task: Task, sets: Float64, by_ratio: Float64) -> Float64:
    """[clip, state] from [clip, set] and [clip, pair, ratio]: sets by the one model, each pair split by the other's."""
    by_ratio = by_ratio + 1e-12
    by_ratio /= by_ratio.sum(-1, keepdims=True)
    pairs = sets[:, task.n_classes :, None] * by_ratio
    return np.concatenate([sets[:, : task.n_classes], pairs.reshape(len(sets), -1)], axis=1)
