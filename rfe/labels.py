"""Emotions, sets and states in the official order; the one place where percent and fraction meet.

A clip's **set** is which emotions are present (16: six singles, ten pairs). Its **state** adds the salience of a
blend (36: six singles, then each pair at 70/30, 50/50 and 30/70). Percentages exist in files only; everything in
memory is a fraction in [0, 1].

Source: the BlEmoRE challenge (arXiv 2601.13225) and its organisers' index order.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

EMOTIONS: tuple[str, ...] = ("ang", "disg", "fea", "hap", "sad", "neu")
EMOTION_NAMES: dict[str, str] = {
    "ang": "anger",
    "disg": "disgust",
    "fea": "fear",
    "hap": "happiness",
    "sad": "sadness",
    "neu": "neutral",
}
N_EMOTIONS = 6
NEUTRAL = 5

PAIRS: tuple[tuple[int, int], ...] = tuple(combinations(range(5), 2))  # neutral never blends
SETS: tuple[tuple[int, ...], ...] = tuple((c,) for c in range(N_EMOTIONS)) + PAIRS
N_SETS = 16
RATIOS: tuple[float, ...] = (0.7, 0.5, 0.3)
"""Salience of a pair's first emotion, in the order in which its three states stand."""
N_STATES = 36

SET_MEMBERS: NDArray[np.float32] = np.zeros((N_SETS, N_EMOTIONS), np.float32)
"""[set, emotion] 1 where the emotion is present."""
for _index, _members in enumerate(SETS):
    SET_MEMBERS[_index, list(_members)] = 1.0

STATE_SET: NDArray[np.int64] = np.array(
    [*range(N_EMOTIONS), *(N_EMOTIONS + pair for pair in range(len(PAIRS)) for _ in RATIOS)], np.int64
)
"""[state] index of the state's set."""

STATE_SALIENCE: NDArray[np.float32] = np.zeros((N_STATES, N_EMOTIONS), np.float32)
"""[state, emotion] the soft label: 1 for a single, the two fractions for a blend; rows sum to 1."""
STATE_SALIENCE[:N_EMOTIONS] = np.eye(N_EMOTIONS, dtype=np.float32)
for _pair, (_first, _second) in enumerate(PAIRS):
    for _ratio, _fraction in enumerate(RATIOS):
        _state = N_EMOTIONS + 3 * _pair + _ratio
        STATE_SALIENCE[_state, _first] = _fraction
        STATE_SALIENCE[_state, _second] = 1.0 - _fraction

STATE_IS_BLEND: NDArray[np.bool_] = np.arange(N_STATES) >= N_EMOTIONS
SET_NAMES: tuple[str, ...] = tuple("+".join(EMOTIONS[c] for c in members) for members in SETS)

PAIR_SET: NDArray[np.int64] = np.full((N_EMOTIONS, N_EMOTIONS), -1, np.int64)
"""[emotion, emotion] index of the pair's set in either order; -1 for equal emotions and for neutral."""
for _pair, (_first, _second) in enumerate(PAIRS):
    PAIR_SET[_first, _second] = PAIR_SET[_second, _first] = N_EMOTIONS + _pair


def state_index(saliences_percent: dict[str, float]) -> int:
    """The state a file's answer names.

    Args:
        saliences_percent: emotion code -> percent; one entry, or two that are 50/50, 70/30 or 30/70 in any order.
            A single's percent must be 100.

    Raises:
        ValueError: with a sentence that says what is wrong (unknown emotion, neutral in a blend, illegal percents).
    """
    for emotion in saliences_percent:
        if emotion not in EMOTIONS:
            raise ValueError(f"unknown emotion {emotion!r}; known are {', '.join(EMOTIONS)}")
    if len(saliences_percent) == 1:
        (emotion, percent), *_ = saliences_percent.items()
        if not abs(percent - 100) <= 0.5:  # so that NaN is refused too
            raise ValueError(f"a single emotion has salience 100 (percent), but {emotion} has {percent:g}")
        return EMOTIONS.index(emotion)
    if len(saliences_percent) != 2:
        raise ValueError(f"a clip shows one or two emotions, not {len(saliences_percent)}")
    if "neu" in saliences_percent:
        raise ValueError("neutral never blends with another emotion")
    (first, percent), (second, other) = sorted(saliences_percent.items(), key=lambda item: EMOTIONS.index(item[0]))
    if not abs(percent + other - 100) <= 0.5:
        raise ValueError(f"saliences must sum to 100 (percent), but {percent:g} + {other:g} = {percent + other:g}")
    if round(percent) not in (70, 50, 30):
        raise ValueError(f"saliences of a blend are 50/50, 70/30 or 30/70, not {percent:g}/{other:g}")
    pair = PAIRS.index((EMOTIONS.index(first), EMOTIONS.index(second)))
    return N_EMOTIONS + 3 * pair + (70, 50, 30).index(round(percent))


def state_percents(state: int) -> dict[str, int]:
    """The inverse of `state_index`: emotion code -> whole percent, e.g. `{"ang": 70, "disg": 30}`."""
    return {EMOTIONS[c]: round(100 * float(STATE_SALIENCE[state, c])) for c in SETS[STATE_SET[state]]}


def state_name(state: int) -> str:
    """A short name for tables: `"hap"` or `"ang 70 + disg 30"`."""
    percents = state_percents(state)
    if len(percents) == 1:
        return next(iter(percents))
    return " + ".join(f"{emotion} {percent}" for emotion, percent in percents.items())
