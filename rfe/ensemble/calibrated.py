"""Candidates as distributions over the 36 states, each calibrated without the fold whose clips it is asked about.

What is said of a fold in a nested evaluation may use no label of that fold: so every calibration exists once without
each pair of folds. A clip of fold j, seen while fold k is held out, is described by parameters fitted without j and k.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.dataset import Dataset
from rfe.decoding.valid_states import ValidStatesDecoder, ValidStatesParameters, answer_states, state_probabilities
from rfe.ensemble.candidates import Candidate, ModelOutputs
from rfe.labels import N_EMOTIONS, PAIRS, STATE_IS_BLEND, STATE_SET
from rfe.metrics.score import score

Float = NDArray[np.floating[Any]]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """Labelled clips as an ensemble is chosen and judged by them."""

    state: NDArray[np.int64]
    """[clip]"""
    fold: NDArray[np.int64]
    """[clip]"""

    @classmethod
    def of(cls, dataset: Dataset) -> "Truth":
        """The training clips of a data set."""
        source = slice(dataset.clips.n_source)
        return cls(dataset.clips.state[source], dataset.clips.fold[source])

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(np.unique(self.fold).tolist())

    @cached_property
    def blend(self) -> NDArray[np.bool_]:
        """[clip]"""
        return STATE_IS_BLEND[self.state]

    def others(self, held_out: int | None) -> NDArray[np.bool_]:
        """[clip] whether the clip may be looked at while a fold is held out; None: all may."""
        return np.ones(len(self.fold), np.bool_) if held_out is None else self.fold != held_out

    def blend_share(self, held_out: int | None) -> float:
        """phi of the clips that may be looked at."""
        return float(self.blend[self.others(held_out)].mean())


@dataclass(frozen=True)
class CalibratedCandidate:
    """A candidate's outputs with its calibrations."""

    candidate: Candidate
    outputs: ModelOutputs
    parameters: ValidStatesParameters
    """[seed, pair of folds]: fitted without the pair; a pair may be one fold twice."""
    truth: Truth

    @classmethod
    def of(cls, candidate: Candidate, outputs: ModelOutputs, truth: Truth) -> "CalibratedCandidate":
        """Fit all calibrations: maximum likelihood on the out-of-fold outputs of the clips that are left."""
        without = np.stack([(truth.fold != j) & (truth.fold != k) for j, k in _pairs(truth.folds)])
        decoder = ValidStatesDecoder(candidate.config.model.head_fusion.presence_weight)
        offset = outputs.set_offset[np.searchsorted(outputs.folds, truth.fold)]  # [clip, set]
        return cls(
            candidate,
            outputs,
            decoder.fit_folds(outputs.source, truth.state, without, set_offset=offset),
            truth,
        )

    def states(self, held_out: int | None) -> Float32:
        """[clip, 36] out-of-fold distributions, mean over seeds, that know nothing of the labels of a fold.

        Args:
            held_out: the fold; None: each clip's own fold alone is left out.
        """
        truth = self.truth
        row = {pair: index for index, pair in enumerate(_pairs(truth.folds))}
        of_fold = [row[_ordered(j, j if held_out is None else held_out)] for j in truth.folds]
        index = np.asarray(of_fold)[np.searchsorted(truth.folds, truth.fold)]  # [clip]
        offset = self.outputs.set_offset[np.searchsorted(self.outputs.folds, truth.fold)]
        each = state_probabilities(self.outputs.source, self.parameters, fold_index=index, set_offset=offset)
        return np.asarray(each.mean(0), np.float32)


@dataclass(frozen=True)
class View:
    """What may be known of the candidates while a fold is held out."""

    set_likelihood: Float32
    """[candidate, clip] probability of the true set."""
    ratio_likelihood: Float32
    """[candidate, clip] probability of the true ratio given the true set; 1 for singles."""
    score: NDArray[np.float64]
    """[candidate] Score on the other folds' clips."""


def view_candidates(
    calibrated: Sequence[CalibratedCandidate], held_out: int | None, on_each: Callable[[], None] = lambda: None
) -> View:
    """Look at the candidates while a fold is held out.

    Args:
        calibrated: the candidates.
        held_out: the fold; its clips' entries are there, to be left alone. None: none is.
        on_each: called after each.
    """
    truth = calibrated[0].truth
    others, share = truth.others(held_out), truth.blend_share(held_out)
    sets, ratios, scores = [], [], []
    for one in calibrated:
        states = one.states(held_out)
        of_state = states[np.arange(len(states)), truth.state]
        of_set = set_probabilities(states)[np.arange(len(states)), STATE_SET[truth.state]]
        sets.append(of_set)
        ratios.append(of_state / np.maximum(of_set, np.finfo(np.float32).tiny))
        scores.append(score(truth.state[others], answer_states(states[others], share)).score)
        on_each()
    return View(np.stack(sets), np.stack(ratios), np.array(scores))


def set_probabilities(states: Float) -> Float:
    """[..., 16] from [..., 36]."""
    pairs = states[..., N_EMOTIONS:].reshape(*states.shape[:-1], len(PAIRS), 3).sum(-1)
    return np.concatenate([states[..., :N_EMOTIONS], pairs], -1)


def mix_states(states: Sequence[Float], weights: Float, ratio_weights: Float) -> NDArray[np.float64]:
    """[..., 36] distributions of several models as one.

    Args:
        states: [model] of [..., 36].
        weights: [model] of their sets.
        ratio_weights: [model] of the ratios within a pair; where they equal `weights` the states are averaged as they
            are.
    """
    mixed = _weighted(states, weights)
    if np.array_equal(weights, ratio_weights):
        return mixed
    shape = (*mixed.shape[:-1], len(PAIRS), 3)
    by_set = mixed[..., N_EMOTIONS:].reshape(shape).sum(-1, keepdims=True)
    conditional = []
    for one in states:
        pairs = np.asarray(one[..., N_EMOTIONS:], np.float64).reshape(shape)
        conditional.append(pairs / np.maximum(pairs.sum(-1, keepdims=True), np.finfo(np.float64).tiny))
    blends = by_set * _weighted(conditional, ratio_weights)
    return np.concatenate([mixed[..., :N_EMOTIONS], blends.reshape(*mixed.shape[:-1], -1)], -1)


def _weighted(arrays: Sequence[Float], weights: Float) -> NDArray[np.float64]:
    total = np.zeros(arrays[0].shape)
    for array, weight in zip(arrays, weights, strict=True):
        if weight:
            total += weight * array
    return total


def _pairs(folds: Sequence[int]) -> list[tuple[int, int]]:
    return list(combinations_with_replacement(folds, 2))


def _ordered(j: int, k: int) -> tuple[int, int]:
    return (min(j, k), max(j, k))
