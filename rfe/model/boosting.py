"""Gradient-boosted trees on sets and saliences: encoders side by side, a missing one as missing values.

One classifier over the sets, and one regression of each class's salience. The logarithms of the probabilities and of
the saliences, clipped from below, are the logits that the usual decoders read.

The trees are scikit-learn's; they are kept as plain arrays, so that a bundle holds no pickle.

Source: Friedman, Annals of Statistics 2001; Ke et al., NeurIPS 2017 (histograms of features).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rfe.model.fitted import (
    Fit,
    FittedModel,
    FittedOutputs,
    Float32,
    Float64,
    PoolFeatures,
    TrainingClips,
    encoder_scores,
    log_scores,
)
from rfe.model.random import stream
from rfe.task import Task

ABSENT = -30.0
"""Score of a set that no training clip shows, before the softmax."""
BLOCK = 256
"""Trees that are walked at a time."""
NODES = ("feature", "threshold", "left", "right", "value", "missing_left")


@dataclass(frozen=True)
class Boosting(FittedModel):
    """See the module."""

    encoders: tuple[str, ...]
    iterations: int = 100
    """Trees for each set and class."""
    learning_rate: float = 0.1
    leaves: int = 8
    min_clips: int = 10
    """Of a leaf."""
    l2: float = 1.0
    features: float = 0.1
    """Share of the features that a split looks at, drawn by the seed."""

    def key(self) -> Hashable:
        """Nothing is shared."""
        return self

    def is_random(self, n_clips: int) -> bool:
        """Whether features are drawn."""
        return self.features < 1

    @classmethod
    def fit(cls, models: Sequence[Self], clips: TrainingClips) -> list[Fit]:
        """See `FittedModel.fit`. The loss is the mean negative log-likelihood of the sets, nats."""
        return [one._fit(clips) for one in models]

    @classmethod
    def predict(
        cls, models: Sequence[Self], weights: Sequence[Mapping[str, Any]], features: PoolFeatures, task: Task
    ) -> list[FittedOutputs]:
        """See `FittedModel.predict`."""
        columns = _side_by_side(features)
        alike = np.full(len(features.values), 1 / len(features.values), np.float32)
        scores = encoder_scores(alike, features)
        found = []
        for one in weights:
            raw = _walk(one, columns)
            sets, saliences = np.split(raw, [task.n_sets], 1)
            found.append(log_scores(_softmax(sets), saliences, scores))
        return found

    def check(self, weights: Mapping[str, Any], dims: Mapping[str, int], task: Task) -> None:
        """See `FittedModel.check`."""
        n_outputs, n_columns = task.n_sets + task.n_classes, sum(dims[name] for name in self.encoders)
        for name in (*NODES, "output", "baseline"):
            if name not in weights:
                raise ValueError(f"{name} is missing")
        shape = weights["feature"].shape
        for name, wanted in {**dict.fromkeys(NODES, shape), "output": shape[:1], "baseline": (n_outputs,)}.items():
            if len(shape) != 2 or weights[name].shape != wanted:
                raise ValueError(f"{name} has the shape {list(weights[name].shape)}, but {list(wanted)} is asked for")
        for name, bound in (("feature", n_columns), ("left", shape[1]), ("right", shape[1]), ("output", n_outputs)):
            if weights[name].size and not (weights[name].min() >= 0 and weights[name].max() < bound):
                raise ValueError(f"{name} goes beyond the {bound} that there are")
        for name in ("left", "right"):
            if not (weights[name] >= np.arange(shape[1])).all():
                raise ValueError(f"{name} leads back to an earlier node, so the tree has a cycle")

    def memory_bytes(self, n_clips: int, dims: Mapping[str, int], task: Task) -> int:
        """The columns, their histograms' codes and what a few trees at a time need."""
        outputs = task.n_sets + task.n_classes
        return 6 * n_clips * sum(dims.values()) + 8 * n_clips * (outputs + 8 * BLOCK) + 48 * outputs * self.iterations

    def _fit(self, clips: TrainingClips) -> Fit:
        # scikit-learn's trees take a second to import, which predicting does without
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        task, columns = clips.task, _side_by_side(clips.features)
        sets, saliences = task.state_set[clips.state], task.state_salience[clips.state]
        seeds = stream(clips.seed, clips.fold, "boosting").integers(2**31, size=1 + task.n_classes).tolist()
        options: dict[str, Any] = {
            "max_iter": self.iterations,
            "learning_rate": self.learning_rate,
            "max_leaf_nodes": self.leaves,
            "min_samples_leaf": self.min_clips,
            "l2_regularization": self.l2,
            "max_features": self.features,
            "early_stopping": False,
        }
        # scikit-learn 1.9 bins a column a hundred times slower with weights, even if they are all 1: minutes a fit
        weight = None if (clips.weight == 1).all() else clips.weight
        baseline = np.full(task.n_sets + task.n_classes, ABSENT, np.float64)
        trees: list[tuple[int, Any]] = []  # (output, tree)
        present = np.unique(sets)
        if len(present) > 1:
            model = HistGradientBoostingClassifier(**options, random_state=seeds[0])
            model.fit(columns, sets, sample_weight=weight)
            start = np.ravel(model._baseline_prediction)
            shown = present if len(start) > 1 else present[1:]  # of two sets only the second has trees
            baseline[present[0]] = 0.0
            baseline[shown] = start
            trees += [(int(one), tree) for row in model._predictors for one, tree in zip(shown, row, strict=True)]
        else:
            baseline[present[0]] = 0.0
        for index in range(task.n_classes):
            output = task.n_sets + index
            if (saliences[:, index] == saliences[0, index]).all():
                baseline[output] = saliences[0, index]
                continue
            regression = HistGradientBoostingRegressor(**options, random_state=seeds[1 + index])
            regression.fit(columns, saliences[:, index], sample_weight=weight)
            baseline[output] = float(np.ravel(regression._baseline_prediction)[0])
            trees += [(output, row[0]) for row in regression._predictors]
        weights = _arrays(trees) | {"baseline": baseline.astype(np.float32)}
        shares = _softmax(_walk(weights, columns)[:, : task.n_sets])[np.arange(len(sets)), sets]
        return Fit(weights, float(np.average(-np.log(np.maximum(shares, 1e-12)), weights=clips.weight)))


def _side_by_side(features: PoolFeatures) -> Float32:
    """[clip, column of all encoders], NaN where a clip lacks the encoder."""
    columns = [
        np.where(features.available[name][:, None], values, np.float32(np.nan))
        for name, values in features.values.items()
    ]
    return np.concatenate(columns, 1).astype(np.float32)


def _arrays(trees: Sequence[tuple[int, Any]]) -> dict[str, Float32]:
    """Trees as arrays [tree, node]; a leaf leads to itself."""
    width = max((len(tree.nodes) for _, tree in trees), default=1)
    arrays = {name: np.zeros((len(trees), width), np.float32) for name in NODES}
    arrays |= {name: np.tile(np.arange(width, dtype=np.float32), (len(trees), 1)) for name in ("left", "right")}
    for row, (_, tree) in enumerate(trees):
        nodes, own = tree.nodes, np.arange(len(tree.nodes))
        leaf = nodes["is_leaf"].astype(bool)
        threshold = nodes["num_threshold"].astype(np.float32)
        above = threshold > nodes["num_threshold"]  # rounded down: a float32 is compared as with the float64
        threshold[above] = np.nextafter(threshold[above], np.float32(-np.inf))
        arrays["feature"][row, own] = np.where(leaf, 0, nodes["feature_idx"])
        arrays["threshold"][row, own] = np.where(leaf, 0, threshold)
        arrays["left"][row, own] = np.where(leaf, own, nodes["left"])
        arrays["right"][row, own] = np.where(leaf, own, nodes["right"])
        arrays["missing_left"][row, own] = nodes["missing_go_to_left"]
        arrays["value"][row, own] = np.where(leaf, nodes["value"], 0)
    return arrays | {"output": np.array([output for output, _ in trees], np.float32)}


def _walk(weights: Mapping[str, Any], columns: Float32) -> Float64:
    """[clip, output] sums of the trees' leaves and the baseline."""
    total: Float64 = np.tile(weights["baseline"].astype(np.float64), (len(columns), 1))
    clip = np.arange(len(columns))[:, None]
    for start in range(0, len(weights["output"]), BLOCK):
        part = slice(start, start + BLOCK)
        feature, left, right = (weights[name][part].astype(np.int64) for name in ("feature", "left", "right"))
        tree = np.arange(len(feature))
        at = np.zeros((len(columns), len(feature)), np.int64)  # [clip, tree] node
        while True:
            value = columns[clip, feature[tree, at]]
            missing = np.isnan(value) & (weights["missing_left"][part][tree, at] > 0)
            goes_left = (value <= weights["threshold"][part][tree, at]) | missing
            following = np.where(goes_left, left[tree, at], right[tree, at])
            if (following == at).all():
                break
            at = following
        leaves = weights["value"][part][tree, at].astype(np.float64)
        belongs = np.eye(total.shape[1])[weights["output"][part].astype(np.int64)]
        total += leaves @ belongs
    return total


def _softmax(scores: Float64) -> NDArray[np.float64]:
    raised: Float64 = np.exp(scores - scores.max(-1, keepdims=True))
    shares: Float64 = raised / raised.sum(-1, keepdims=True)
    return shares
