"""Outputs of an imagined model that knows something about the true states."""

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Outputs
from rfe.labels import STATE_SALIENCE


def draw_truth(n_clips: int, seed: int = 0) -> NDArray[np.int64]:
    """[clip] about half singles, half blends."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n_clips) < 0.5, rng.integers(0, 6, n_clips), rng.integers(6, 36, n_clips))


def draw_outputs(truth: NDArray[np.int64], leading: tuple[int, ...] = (), seed: int = 1, noise: float = 1.0) -> Outputs:
    """Outputs [..., clip, 6]: logits around the truth plus noise."""
    rng = np.random.default_rng(seed)
    salience = STATE_SALIENCE[truth]
    shape = (*leading, *salience.shape)
    presence = 3.0 * (salience > 0) - 1.5 + noise * 1.5 * rng.normal(size=shape)
    logits = 2.5 * salience + noise * 0.7 * rng.normal(size=shape)
    fused = np.exp(logits)
    fused /= fused.sum(-1, keepdims=True)
    return Outputs(presence.astype(np.float32), logits.astype(np.float32), fused.astype(np.float32))
