"""Distributions over the 36 states: their sets and ratios, and several models' as one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.labels import N_EMOTIONS, PAIRS, RATIOS

Float = NDArray[np.floating[Any]]
N_RATIOS = len(RATIOS)


def set_probabilities(states: Float) -> Float:
    """[..., 16] from [..., 36]."""
    pairs = states[..., N_EMOTIONS:].reshape(*states.shape[:-1], len(PAIRS), N_RATIOS).sum(-1)
    return np.concatenate([states[..., :N_EMOTIONS], pairs], -1)


def ratio_probabilities(states: Float, pair: NDArray[np.int64]) -> NDArray[np.float64]:
    """[..., clip, 3] how a pair is split, given that it is the pair.

    Args:
        states: [..., clip, 36].
        pair: [clip] index into `labels.PAIRS`.
    """
    columns = N_EMOTIONS + N_RATIOS * pair[:, None] + np.arange(N_RATIOS)  # [clip, 3]
    chosen = np.asarray(states[..., np.arange(len(pair))[:, None], columns], np.float64)
    return np.asarray(chosen / np.maximum(chosen.sum(-1, keepdims=True), np.finfo(np.float64).tiny))


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
    shape = (*mixed.shape[:-1], len(PAIRS), N_RATIOS)
    by_set = mixed[..., N_EMOTIONS:].reshape(shape).sum(-1, keepdims=True)
    conditional = []
    for one in states:
        pairs = np.asarray(one[..., N_EMOTIONS:], np.float64).reshape(shape)
        conditional.append(pairs / np.maximum(pairs.sum(-1, keepdims=True), np.finfo(np.float64).tiny))
    blends = by_set * _weighted(conditional, ratio_weights)
    return np.concatenate([mixed[..., :N_EMOTIONS], blends.reshape(*mixed.shape[:-1], -1)], -1)


def mix_fused(fused: Sequence[Float], weights: Float) -> NDArray[np.float64]:
    """[clip, emotion] fused probabilities of several models as one.

    Args:
        fused: [model] of [clip, emotion].
        weights: [model] that sum to 1.
    """
    return _weighted(fused, weights)


def _weighted(arrays: Sequence[Float], weights: Float) -> NDArray[np.float64]:
    total = np.zeros(arrays[0].shape)
    for array, weight in zip(arrays, weights, strict=True):
        if weight:
            total += weight * array
    return total
