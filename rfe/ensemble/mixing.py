"""Distributions over states: their sets and ratios, and several models' as one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.task import Task

Float = NDArray[np.floating[Any]]


def split_probabilities(task: Task, states: Float, pair: NDArray[np.int64]) -> NDArray[np.float64]:
    """[..., clip, ratio] how a pair is split, given that it is the pair.

    Args:
        task: whose states they are.
        states: [..., clip, state].
        pair: [clip] index into the task's pairs.
    """
    columns = task.n_classes + task.n_ratios * pair[:, None] + np.arange(task.n_ratios)  # [clip, ratio]
    chosen = np.asarray(states[..., np.arange(len(pair))[:, None], columns], np.float64)
    return np.asarray(chosen / np.maximum(chosen.sum(-1, keepdims=True), np.finfo(np.float64).tiny))


def mix_states(task: Task, states: Sequence[Float], weights: Float, ratio_weights: Float) -> NDArray[np.float64]:
    """[..., state] distributions of several models as one.

    Args:
        task: whose states they are.
        states: [model] of [..., state].
        weights: [model] of their sets.
        ratio_weights: [model] of the ratios within a pair; where they equal `weights` the states are averaged as they
            are.

    Examples:
        >>> task = Task("ab", ("a", "b"))
        >>> first, second = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
        >>> mix_states(task, [first, second], np.array([0.75, 0.25]), np.array([0.75, 0.25])).tolist()
        [[0.75, 0.25]]
    """
    mixed = _weighted(states, weights)
    if np.array_equal(weights, ratio_weights):
        return mixed
    by_set = _by_pair(task, mixed).sum(-1, keepdims=True)
    conditional = []
    for one in states:
        pairs = _by_pair(task, np.asarray(one, np.float64))
        conditional.append(pairs / np.maximum(pairs.sum(-1, keepdims=True), np.finfo(np.float64).tiny))
    blends = by_set * _weighted(conditional, ratio_weights)
    n_blends = task.n_states - task.n_classes
    return np.concatenate([mixed[..., : task.n_classes], blends.reshape(*mixed.shape[:-1], n_blends)], -1)


def mix_fused(fused: Sequence[Float], weights: Float) -> NDArray[np.float64]:
    """[clip, class] fused probabilities of several models as one.

    Args:
        fused: [model] of [clip, class].
        weights: [model] that sum to 1.

    Examples:
        >>> mix_fused([np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])], np.array([0.75, 0.25])).tolist()
        [[0.75, 0.25]]
    """
    return _weighted(fused, weights)


def _by_pair(task: Task, states: Float) -> Float:
    """[..., pair, ratio] from [..., state]."""
    return states[..., task.n_classes :].reshape(*states.shape[:-1], task.n_pairs, task.n_ratios)


def _weighted(arrays: Sequence[Float], weights: Float) -> NDArray[np.float64]:
    total = np.zeros(arrays[0].shape)
    for array, weight in zip(arrays, weights, strict=True):
        if weight:
            total += weight * array
    return total
