"""Tasks of every form beside BlEmoRE's, for tests of what must not depend on the labels."""

from dataclasses import replace
from itertools import combinations

import numpy as np

from rfe.data.dataset import Dataset
from rfe.data.metadata import Clips
from rfe.task import BLEMORE, Task

COMPOUND = Task(
    "compound",
    ("ang", "con", "disg", "fea", "hap", "sad", "sur"),
    class_names=("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"),
    pairs=((0, 2), (0, 3), (0, 6), (2, 6), (3, 6), (4, 6), (5, 6)),
    alone=(False, True, False, False, False, False, False),
)
"""Pairs without a ratio, whose classes never occur alone; one other class does."""
PAIRS_ONLY = Task("pairs", ("a", "b", "c", "d"), pairs=tuple(combinations(range(4), 2)), alone=(False,) * 4)
EIGHT = Task(
    "eight",
    ("joy", "awe", "ang", "disg", "fea", "sad", "pride", "neu"),
    pairs=tuple(combinations(range(7), 2)),
    ratios_percent=(80, 65, 50, 35, 20),
    metric="blemore",
)
"""Eight emotions, of which seven blend at five ratios."""
PLAIN = Task("plain", ("no", "low", "mid", "high"))
"""One label a clip: no blends."""
HALF_ALONE = Task(
    "half-alone",
    ("a", "b", "c", "d", "e"),
    pairs=((0, 1), (0, 4), (1, 2), (2, 4)),
    ratios_percent=(60, 50, 40),
    alone=(True, False, True, True, True),
    metric="blemore",
)
"""Some pairs, at ratios that thresholds can tell; one class blends only, one never does."""
TWO_WAYS = Task("two-ways", ("a", "b", "c"), pairs=((0, 1), (1, 2)), ratios_percent=(75, 25), metric="blemore")
"""A blend always leans: no ratio is even."""
WIDE = Task("wide", tuple(f"c{index}" for index in range(64)), pairs=tuple((i, i + 1) for i in range(0, 64, 2)))
"""As many classes as a task may have: states beyond what a byte holds are in `WIDE_RATIOS`."""
WIDE_RATIOS = replace(WIDE, name="wide-ratios", ratios_percent=(90, 80, 70, 60, 50, 40, 30, 20, 10), metric="blemore")
OTHERS = (COMPOUND, PAIRS_ONLY, EIGHT, PLAIN, HALF_ALONE, TWO_WAYS)
TASKS = (BLEMORE, *OTHERS)


def relabelled(clips: Clips, task: Task, seed: int = 0) -> Clips:
    """The same clips with labels of another task: every possible state about as often."""
    possible = np.flatnonzero(task.state_possible)
    order = np.random.default_rng(seed).permutation(np.arange(clips.n_source) % len(possible))
    state = clips.state.copy()
    state[: clips.n_source] = possible[order]
    return replace(clips, state=state, task=task)


def with_task(dataset: Dataset, task: Task) -> Dataset:
    """A data set whose clips are `relabelled`."""
    return replace(dataset, clips=relabelled(dataset.clips, task), fingerprint=f"{dataset.fingerprint}-{task.name}")
