"""Who shows what: actors, folds and clips with the challenge's official names and counts.

Source of names, counts and folds: the BlEmoRE challenge (arXiv 2601.13225).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.data.simulation.streams import open_stream
from rfe.labels import EMOTIONS, N_EMOTIONS, NEUTRAL, PAIRS, RATIOS, STATE_IS_BLEND, STATE_SET, state_percents

N_FOLDS = 5
OFFICIAL_ACTORS = 47
OFFICIAL_CLIPS_PER_ACTOR = 54
N_INTENSITIES = 4
N_SITUATIONS = 4

FOLD_CHANGES: tuple[tuple[int, int], ...] = ((2, -20), (0, 0), (12, -30), (16, -30), (-28, -4))
"""(singles, blends) by which each official fold differs from 54 clips for every actor: second takes and gaps."""
IRREGULAR_ACTORS: tuple[int, ...] = (3, 0, 3, 3, 2)
"""Actors of each official fold who have gaps or second takes: 36 of the 47 have exactly 54 clips."""


@dataclass(frozen=True)
class Cells:
    """What a clip can show: each intensity of a single and each ratio of a blend is one cell."""

    state: NDArray[np.int64]
    """[cell] index into the 36 states."""
    level: NDArray[np.int64]
    """[cell] intensity 1-4 of a single, situation 1-4 of neutral, 0 for a blend."""


def list_cells() -> Cells:
    """The 54 official cells: five emotions x four intensities, neutral x four situations, ten pairs x three ratios."""
    singles = [(emotion, level) for emotion in range(N_EMOTIONS) for level in range(1, N_INTENSITIES + 1)]
    blends = [(N_EMOTIONS + index, 0) for index in range(len(PAIRS) * len(RATIOS))]
    table = np.array(singles + blends, np.int64)
    return Cells(state=table[:, 0], level=table[:, 1])


@dataclass(frozen=True)
class Skeleton:
    """All clips, training clips first, in the order in which the files list them."""

    filename: tuple[str, ...]
    cell: NDArray[np.int64]
    """[clip] index into `list_cells()`."""
    version: NDArray[np.int64]
    """[clip] 1, or 2 for a second take."""
    actor: NDArray[np.int64]
    """[clip] index into `actor_names`."""
    actor_names: tuple[str, ...]
    actor_fold: NDArray[np.int64]
    """[actor] fold, -1 for test actors."""
    gender: tuple[str, ...]
    """[actor] `f` or `m`."""
    recording: NDArray[np.int64]
    """[clip] place of the clip in its actor's recording session."""
    n_train: int

    @property
    def state(self) -> NDArray[np.int64]:
        """[clip] index into the 36 states."""
        return list_cells().state[self.cell]

    @property
    def fold(self) -> NDArray[np.int64]:
        """[clip] fold, -1 for test clips."""
        return self.actor_fold[self.actor]


def build_skeleton(
    actors: int, test_actors: int, clips_per_actor: int, seed: int, drawn: Callable[[int], None] = lambda n: None
) -> Skeleton:
    """Lay out the clips.

    The official size (47 actors with 54 clips each) has the official folds' exact counts, 2,456 training clips; any
    other size gives every actor `clips_per_actor` clips, singles and blends in the official proportion.

    Args:
        actors: training actors, at least 5.
        test_actors: test actors, 0 or more.
        clips_per_actor: 2 to 54.
        seed: decides which clips an actor lacks, the order of the anonymous test clips and of the recordings.
        drawn: told how many actors have their clips.
    """
    actor_fold = np.concatenate([_spread_over_folds(actors), np.full(test_actors, -1, np.int64)])
    # Streams of their own: training clips do not depend on how many test actors there are.
    train_stream, test_stream = open_stream(seed, "skeleton", "train"), open_stream(seed, "skeleton", "test")
    train = _draw_clips(np.arange(actors), clips_per_actor, train_stream, drawn)
    if actors == OFFICIAL_ACTORS and clips_per_actor == OFFICIAL_CLIPS_PER_ACTOR:
        train = _apply_fold_changes(train, actor_fold, train_stream)
    train = train[np.lexsort((train[:, 2], train[:, 1], train[:, 0]))]
    # Test clips are shuffled before they are numbered: a name must not give away actor or emotion.
    test = _draw_clips(np.arange(actors, actors + test_actors), clips_per_actor, test_stream, drawn)
    test = test_stream.permutation(test)
    clips, n_train = np.concatenate([train, test]), len(train)
    names = _name_actors(actor_fold)
    filenames = [_name_clip(names[actor], cell, version) for actor, cell, version in clips[:n_train]]
    filenames += [f"test_{number:04d}" for number in range(1, len(clips) - n_train + 1)]
    return Skeleton(
        filename=tuple(filenames),
        cell=clips[:, 1],
        version=clips[:, 2],
        actor=clips[:, 0],
        actor_names=names,
        actor_fold=actor_fold,
        gender=tuple("fm"[index % 2] for index in range(len(names))),
        recording=np.concatenate(
            [_order_recordings(train[:, 0], train_stream), _order_recordings(test[:, 0], test_stream)]
        ),
        n_train=n_train,
    )


def _spread_over_folds(actors: int) -> NDArray[np.int64]:
    """[actor] fold; 47 actors give 10, 9, 9, 9, 10."""
    if actors == OFFICIAL_ACTORS:
        return np.repeat(np.arange(N_FOLDS), (10, 9, 9, 9, 10))
    return np.sort(np.arange(actors) % N_FOLDS)


def _draw_clips(
    actors: NDArray[np.int64], clips_per_actor: int, rng: np.random.Generator, drawn: Callable[[int], None]
) -> NDArray[np.int64]:
    """[clip, (actor, cell, version)]: each actor's cells, every set as often as any other where they are fewer."""
    cells = list_cells()
    is_blend = STATE_IS_BLEND[cells.state]
    n_blends = round(clips_per_actor * float(is_blend.mean()))
    rows: list[NDArray[np.int64]] = [np.empty((0, 3), np.int64)]
    for actor in actors:
        chosen = []
        for kind, wanted in ((~is_blend, clips_per_actor - n_blends), (is_blend, n_blends)):
            candidates = rng.permutation(np.flatnonzero(kind))
            # Take one cell of every set before a second one of any.
            sets = STATE_SET[cells.state[candidates]]
            turn = np.array([(sets[:place] == sets[place]).sum() for place in range(len(sets))])
            chosen.append(candidates[np.argsort(turn, kind="stable")][:wanted])
        cell = np.concatenate(chosen)
        rows.append(np.stack([np.full_like(cell, int(actor)), cell, np.ones_like(cell)], axis=1))
        drawn(int(actor) + 1)
    return np.concatenate(rows)


def _apply_fold_changes(
    clips: NDArray[np.int64], actor_fold: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Drop clips of, and add second takes to, a few actors so that the folds have the official counts."""
    is_blend = STATE_IS_BLEND[list_cells().state[clips[:, 1]]]
    keep = np.ones(len(clips), bool)
    takes: list[NDArray[np.int64]] = []
    for fold, changes in enumerate(FOLD_CHANGES):
        irregular = rng.choice(np.flatnonzero(actor_fold == fold), IRREGULAR_ACTORS[fold], replace=False)
        for blend, change in zip((False, True), changes, strict=True):
            candidates = rng.permutation(np.flatnonzero(np.isin(clips[:, 0], irregular) & (is_blend == blend)))
            chosen = candidates[: abs(change)]
            if change < 0:
                keep[chosen] = False
            else:
                takes.append(clips[chosen] + np.array([0, 0, 1]))
    return np.concatenate([clips[keep], *takes])


def _name_actors(actor_fold: NDArray[np.int64]) -> tuple[str, ...]:
    """`A` + fold + number within it, test actors with a 9: A001, ..., A410, A901."""
    names = []
    named: Counter[int] = Counter()
    for fold in actor_fold.tolist():
        named[fold] += 1
        names.append(f"A{9 if fold < 0 else fold}{named[fold]:02d}")
    return tuple(names)


def _name_clip(actor: str, cell: int, version: int) -> str:
    """The official file name, e.g. `A102_ang_int1_ver1`, `A303_neu_sit2_ver1`, `A411_mix_ang_hap_30_70_ver1`."""
    cells = list_cells()
    state, level = int(cells.state[cell]), int(cells.level[cell])
    if STATE_IS_BLEND[state]:
        percents = state_percents(state)
        return f"{actor}_mix_{'_'.join(percents)}_{'_'.join(map(str, percents.values()))}_ver{version}"
    if state == NEUTRAL:
        return f"{actor}_neu_sit{level}_ver{version}"
    return f"{actor}_{EMOTIONS[state]}_int{level}_ver{version}"


def _order_recordings(actor: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """[clip] place in the actor's session, a random order within each actor."""
    order = np.lexsort((rng.random(len(actor)), actor))
    ordered_actor = actor[order]
    first = np.searchsorted(ordered_actor, ordered_actor, side="left")
    place = np.empty(len(actor), np.int64)
    place[order] = np.arange(len(actor)) - first
    return place
