"""Outputs of an imagined model that knows something about the true states."""

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Outputs
from rfe.task import BLEMORE, Task


def draw_truth(n_clips: int, seed: int = 0, task: Task = BLEMORE) -> NDArray[np.int64]:
    """[clip] about half singles, half blends, where the task has both."""
    rng = np.random.default_rng(seed)
    possible = np.flatnonzero(task.state_possible)
    singles, blends = possible[possible < task.n_classes], possible[possible >= task.n_classes]
    if not len(singles) or not len(blends):
        return possible[rng.integers(0, len(possible), n_clips)]
    is_single = rng.random(n_clips) < 0.5
    drawn = (group[rng.integers(0, len(group), n_clips)] for group in (singles, blends))
    return np.where(is_single, *drawn)


def draw_outputs(
    truth: NDArray[np.int64],
    leading: tuple[int, ...] = (),
    seed: int = 1,
    noise: float = 1.0,
    task: Task = BLEMORE,
) -> Outputs:
    """Outputs [..., clip, class]: logits around the truth plus noise."""
    rng = np.random.default_rng(seed)
    salience = task.state_salience[truth]
    shape = (*leading, *salience.shape)
    presence = 3.0 * (salience > 0) - 1.5 + noise * 1.5 * rng.normal(size=shape)
    logits = 2.5 * salience + noise * 0.7 * rng.normal(size=shape)
    fused = np.exp(logits)
    fused /= fused.sum(-1, keepdims=True)
    return Outputs(presence.astype(np.float32), logits.astype(np.float32), fused.astype(np.float32))
