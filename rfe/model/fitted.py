"""Models that are fitted in one step on the CPU, beside those that gradient steps train.

A kind of them is one class: it fits plain arrays, and it predicts from the arrays that a fit returned. Everything else
(folds, record, decoders, ensembles, bundles) is shared with the networks.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rfe.task import Task

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Weights = dict[str, Float32]
"""Name -> array: everything that a fitted model needs to predict."""
FLOOR = 1e-3
"""Smallest score: regression gives negative ones, whose logarithm no decoder can read."""


@dataclass(frozen=True)
class PoolFeatures:
    """Prepared features of the same clips, for each encoder of a pool."""

    values: Mapping[str, Float32]
    """Encoder -> [clip, dim], 0 where not available."""
    available: Mapping[str, NDArray[np.bool_]]
    """Encoder -> [clip]."""

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    @property
    def complete(self) -> bool:
        """Whether every clip has every encoder."""
        return all(bool(there.all()) for there in self.available.values())

    def of(self, encoders: Sequence[str]) -> "PoolFeatures":
        """Some encoders' features of all clips."""
        return PoolFeatures(
            {name: self.values[name] for name in encoders}, {name: self.available[name] for name in encoders}
        )

    def take(self, clips: NDArray[np.int64] | slice) -> "PoolFeatures":
        """The features of some clips."""
        return PoolFeatures(
            {name: one[clips] for name, one in self.values.items()},
            {name: one[clips] for name, one in self.available.items()},
        )


@dataclass(frozen=True)
class TrainingClips:
    """The training clips of a fitted model."""

    features: PoolFeatures
    task: Task
    state: NDArray[np.int64]
    """[clip] true states."""
    weight: Float32
    """[clip] class-balance weight, mean 1."""
    seed: int
    fold: int
    """The held-out fold; with `seed`, the address of every random number."""


@dataclass(frozen=True)
class Fit:
    """A fitted model."""

    weights: Weights
    loss: float
    """Of the training clips, in the kind's own measure."""


@dataclass(frozen=True)
class FittedOutputs:
    """The outputs of a fitted model; see `rfe.decoding.base.Outputs` for the first three."""

    presence_logits: Float32
    """[clip, set]"""
    salience_logits: Float32
    """[clip, class]"""
    fused: Float32
    """[clip, class] probabilities."""
    scores: Float32
    """[clip, encoder of the pool] log weight of each encoder, -inf where not available; the same for all clips that
    have it, but for a kind that weighs clip by clip."""


class FittedModel(ABC):
    """One kind of fitted model, with its hyperparameters as fields of a frozen dataclass."""

    encoders: tuple[str, ...]
    """The pool, in the data set's order."""

    @abstractmethod
    def key(self) -> Hashable:
        """Models of equal keys share most of a fit's work, and are fitted by one call."""

    @abstractmethod
    def is_random(self, n_clips: int) -> bool:
        """Whether a fit to `n_clips` depends on the seed."""

    def check_size(self, n_clips: int) -> None:  # noqa: B027  # no limit, where not overridden
        """Whether it can be fitted to `n_clips`.

        Raises:
            ConfigError: with what can be done.
        """

    @classmethod
    @abstractmethod
    def fit(cls, models: Sequence[Self], clips: TrainingClips) -> list[Fit]:
        """Fit models of one key to the same clips."""

    @classmethod
    @abstractmethod
    def predict(
        cls, models: Sequence[Self], weights: Sequence[Mapping[str, Any]], features: PoolFeatures, task: Task
    ) -> list[FittedOutputs]:
        """Outputs of models of one key, fitted to the same clips.

        Args:
            models: see `fit`.
            weights: of each, as `fit` returned them.
            features: of the clips to predict.
            task: whose sets and classes are scored.
        """

    @abstractmethod
    def check(self, weights: Mapping[str, Any], dims: Mapping[str, int], task: Task) -> None:
        """Whether arrays from a file can be this model's.

        Args:
            weights: name -> array.
            dims: encoder -> width of its prepared features.
            task: whose sets and classes are scored.

        Raises:
            ValueError: with what does not fit.
        """

    @abstractmethod
    def memory_bytes(self, n_clips: int, dims: Mapping[str, int], task: Task) -> int:
        """Estimate of the memory that fitting one model to `n_clips` needs beside the data set's features."""


def check_shapes(weights: Mapping[str, Any], wanted: Mapping[str, tuple[int | None, ...]]) -> None:
    """Whether arrays from a file have the shapes that a configuration asks for.

    Args:
        weights: name -> array.
        wanted: name -> shape; None is the number of training clips that carry coefficients, the same in all.

    Raises:
        ValueError: with what does not fit.
    """
    lengths = set()
    for name, shape in wanted.items():
        if name not in weights:
            raise ValueError(f"{name} is missing")
        found = weights[name].shape
        if len(found) != len(shape) or any(w is not None and w != f for w, f in zip(shape, found, strict=True)):
            described = ["any" if one is None else one for one in shape]
            raise ValueError(f"{name} has the shape {list(found)}, but the configuration asks for {described}")
        lengths |= {f for w, f in zip(shape, found, strict=True) if w is None}
    if len(lengths) > 1:
        raise ValueError(f"its landmarks are not of one number: {sorted(lengths)}")


def log_scores(sets: Float64, saliences: Float64, scores: Float32) -> FittedOutputs:
    """Outputs from scores of sets and saliences, clipped from below at `FLOOR`.

    Args:
        sets: [clip, set].
        saliences: [clip, class].
        scores: see `FittedOutputs`.
    """
    presence, salience = (np.log(np.maximum(one, FLOOR)).astype(np.float32) for one in (sets, saliences))
    fused = np.exp(salience)
    return FittedOutputs(presence, salience, fused / fused.sum(-1, keepdims=True), scores)


def encoder_scores(weights: Float32, features: PoolFeatures) -> Float32:
    """[clip, encoder] logarithms of `weights` [encoder], -inf where a clip lacks the encoder."""
    there = np.stack(list(features.available.values()), 1)
    with np.errstate(divide="ignore"):  # a weight of 0 is an encoder that is not used
        return np.where(there, np.log(weights), -np.inf).astype(np.float32)
