"""Each clip's three possible answers and the two numbers that decide between them.

What `official` and `decoupled` decoding have in common: a clip is a single, an even blend or a blend that leans to one
emotion; its `strength` says how much it looks like a blend, its `unevenness` how far it is from 50/50.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float, Int
from rfe.labels import N_EMOTIONS, N_STATES, STATE_IS_BLEND, STATE_SALIENCE, STATE_SET

_EVEN = np.full((N_EMOTIONS, N_EMOTIONS), -1, np.int8)
_LEANING = np.full((N_EMOTIONS, N_EMOTIONS), -1, np.int8)
for _state in range(N_EMOTIONS, N_STATES):
    _first, _second = np.flatnonzero(STATE_SALIENCE[_state])
    if STATE_SALIENCE[_state, _first] == STATE_SALIENCE[_state, _second]:
        _EVEN[_first, _second] = _EVEN[_second, _first] = _state
    else:
        _larger = int(STATE_SALIENCE[_state].argmax())
        _LEANING[_larger, _first + _second - _larger] = _state

_SET = STATE_SET.astype(np.int8)


@dataclass(frozen=True)
class Candidates:
    """Per clip, all [..., clip]. A state is -1 where there is none: a pair with neutral, an output not finite."""

    single: NDArray[np.int8]
    even: NDArray[np.int8]
    leaning: NDArray[np.int8]
    strength: Float
    """-inf where the clip cannot be a blend."""
    unevenness: Float

    @classmethod
    def of_pairs(
        cls, first: Int, second: Int, larger: Int, strength: Float, unevenness: Float, finite: NDArray[np.bool_]
    ) -> "Candidates":
        """Candidates from each clip's two emotions.

        Args:
            first: [..., clip] the emotion answered alone.
            second: [..., clip] the other emotion of a blend.
            larger: [..., clip] the one of the two that a leaning blend leans to.
            strength, unevenness: [..., clip].
            finite: [..., clip] False where there is to be no answer at all.
        """
        row = larger.astype(np.int8) * np.int8(N_EMOTIONS)
        index = row + (first + second - larger).astype(np.int8)
        even, leaning = _EVEN.ravel()[index], _LEANING.ravel()[index]
        single = first.astype(np.int8)
        strength = np.where(even >= 0, strength, strength.dtype.type(-np.inf))
        if not finite.all():
            single, even, leaning = (np.where(finite, states, np.int8(-1)) for states in (single, even, leaning))
            strength = np.where(finite, strength, strength.dtype.type(-np.inf))
        return cls(single, even, leaning, strength, unevenness)

    def answer(self, blend: Float, even: Float) -> NDArray[np.int8]:
        """States for thresholds that broadcast against [..., clip]."""
        pair = np.where(self.unevenness <= even, self.even, self.leaning)
        return np.where(self.strength >= blend, pair, self.single)

    def hits(self, truth_state: Int) -> "Hits":
        """What each answer would be worth, given the true states [clip]."""
        truth = truth_state.astype(np.int8)
        truth_set = _SET[truth]
        single = self.single == truth_set  # a single's state is its set
        pair = (_SET[self.even] == truth_set) & (self.even >= 0)
        possible = self.strength > -np.inf
        blend = STATE_IS_BLEND[truth]
        return Hits(
            single,
            np.where(possible, pair.view(np.int8) - single.view(np.int8), np.int8(0)),
            (self.even == truth).view(np.int8) - (pair & (self.leaning == truth)).view(np.int8),
            blend,
        )


@dataclass(frozen=True)
class Hits:
    """What the answers are worth."""

    single: NDArray[np.bool_]
    """[..., clip] the single is right."""
    pair_gain: NDArray[np.int8]
    """[..., clip] presence hits won (1) or lost (-1) by answering a blend instead of the single."""
    even_gain: NDArray[np.int8]
    """[..., clip] 1 where 50/50 is the true state, -1 where the leaning blend is, 0 elsewhere."""
    blend: NDArray[np.bool_]
    """[clip] the truth is a blend."""


def group_clips(membership: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Clips that belong to the same folds, as one group each.

    Args:
        membership: [fold, clip].

    Returns:
        group of each clip [clip], and [fold, group] 1 where the fold holds the group.
    """
    code = np.zeros(membership.shape[1], np.int64)
    for row in membership:  # relabelling at each fold keeps codes small for any number of folds
        _, code = np.unique(2 * code + row, return_inverse=True)
    _, first = np.unique(code, return_index=True)
    return code, membership[:, first].astype(np.float64)
