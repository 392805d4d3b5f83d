"""Class balance: weights clips by the frequency of their set among the training clips."""

import numpy as np
from numpy.typing import NDArray

from rfe.data.folds import training_clips
from rfe.data.metadata import Clips


def set_weights(clips: Clips, fold: int, kind: str, n_actors: int = 0) -> NDArray[np.float32]:
    """[set] weight of a clip of each set: inverse square root of its frequency, mean 1 over the training clips.

    Args:
        clips: of the data set.
        fold: the held-out fold, whose labels are not looked at.
        kind: `none` (all 1), `class` (by set, add-one) or `single_vs_blend` (by the two groups).
        n_actors: how many training actors are used; 0: all.
    """
    task = clips.task
    sets = task.state_set[clips.state[training_clips(clips, fold, n_actors or None)]]
    counts = np.bincount(sets, minlength=task.n_sets).astype(np.float64)
    if kind == "none":
        return np.ones(task.n_sets, np.float32)
    if kind == "class":
        weights = (counts + 1.0) ** -0.5
    else:
        blend = np.arange(task.n_sets) >= task.n_classes
        sizes = np.maximum(np.array([counts[~blend].sum(), counts[blend].sum()]), 1.0)
        weights = (sizes**-0.5)[blend.astype(np.int64)]
    weights /= (weights * counts).sum() / counts.sum()
    return weights.astype(np.float32)


def clip_weights(clips: Clips, fold: int, kind: str, n_actors: int = 0) -> NDArray[np.float32]:
    """[clip] `set_weights` of each clip's set; target clips get 1 and are never used."""
    weights = np.ones(len(clips), np.float32)
    source = clips.source
    weights[source] = set_weights(clips, fold, kind, n_actors)[clips.task.state_set[clips.state[source]]]
    return weights
