"""Who shows what: actors, folds and clips; BlEmoRE's with the challenge's official names and counts.

Source of names, counts and folds: the BlEmoRE challenge (arXiv 2601.13225).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.data.simulation.streams import open_stream
from rfe.task import BLEMORE, Task, blemore_looks

N_FOLDS = 5
OFFICIAL_ACTORS = 47
N_INTENSITIES = 4

FOLD_CHANGES: tuple[tuple[int, int], ...] = ((2, -20), (0, 0), (12, -30), (16, -30), (-28, -4))
"""(singles, blends) by which each official fold differs from 54 clips for every actor: second takes and gaps."""
IRREGULAR_ACTORS: tuple[int, ...] = (3, 0, 3, 3, 2)
"""Actors of each official fold who have gaps or second takes: 36 of the 47 have exactly 54 clips."""


@dataclass(frozen=True)
class Cells:
    """What a clip can show: each intensity of a single and each ratio of a blend is one cell."""

    task: Task
    state: NDArray[np.int64]
    """[cell] index into the task's states."""
    level: NDArray[np.int64]
    """[cell] intensity 1-4 of a single, situation 1-4 of neutral, 0 for a blend."""

    def __len__(self) -> int:
        return len(self.state)

    @property
    def is_blend(self) -> NDArray[np.bool_]:
        """[cell]"""
        return self.task.state_is_blend[self.state]


def list_cells(task: Task) -> Cells:
    """The cells of a task: each class that may stand alone x four intensities, each pair x its ratios.

    BlEmoRE has 54: five emotions x four intensities, neutral x four situations, ten pairs x three ratios.

    Examples:
        >>> len(list_cells(BLEMORE)), len(list_cells(Task("ab", ("a", "b"))))
        (54, 8)
    """
    alone = [index for index in range(task.n_classes) if task.alone[index]]
    singles = [(index, level) for index in alone for level in range(1, N_INTENSITIES + 1)]
    blends = [(state, 0) for state in range(task.n_classes, task.n_states)]
    table = np.array(singles + blends, np.int64)
    return Cells(task, state=table[:, 0], level=table[:, 1])


@dataclass(frozen=True)
class Skeleton:
    """All clips, training clips first, in the order in which the files list them."""

    cells: Cells
    filename: tuple[str, ...]
    cell: NDArray[np.int64]
    """[clip] index into `cells`."""
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
        """[clip] index into the task's states."""
        return self.cells.state[self.cell]

    @property
    def fold(self) -> NDArray[np.int64]:
        """[clip] fold, -1 for test clips."""
        return self.actor_fold[self.actor]


def build_skeleton(
    cells: Cells,
    actors: int,
    test_actors: int,
    clips_per_actor: int,
    seed: int,
    drawn: Callable[[int], None] = lambda n: None,
) -> Skeleton:
    """Lay out the clips.

    BlEmoRE's official size (47 actors with 54 clips each) has the official folds' exact counts, 2,456 training clips;
    any other size or task gives every actor `clips_per_actor` clips, singles and blends in proportion to their cells.

    Args:
        cells: of the task.
        actors: training actors, at least 5.
        test_actors: test actors, 0 or more.
        clips_per_actor: at most as many as there are cells.
        seed: decides which clips an actor lacks, the order of the anonymous test clips and of the recordings.
        drawn: told how many actors have their clips.
    """
    actor_fold = np.concatenate([_spread_over_folds(actors), np.full(test_actors, -1, np.int64)])
    # Streams of their own: training clips do not depend on how many test actors there are.
    train_stream, test_stream = open_stream(seed, "skeleton", "train"), open_stream(seed, "skeleton", "test")
    train = _draw_clips(cells, np.arange(actors), clips_per_actor, train_stream, drawn)
    if cells.task == BLEMORE and actors == OFFICIAL_ACTORS and clips_per_actor == len(cells):
        train = _apply_fold_changes(cells, train, actor_fold, train_stream)
    train = train[np.lexsort((train[:, 2], train[:, 1], train[:, 0]))]
    # Test clips are shuffled before they are numbered: a name must not give away actor or emotion.
    test = _draw_clips(cells, np.arange(actors, actors + test_actors), clips_per_actor, test_stream, drawn)
    test = test_stream.permutation(test)
    clips, n_train = np.concatenate([train, test]), len(train)
    names = _name_actors(actor_fold)
    filenames = [_name_clip(cells, names[actor], cell, version) for actor, cell, version in clips[:n_train]]
    filenames += [f"test_{number:04d}" for number in range(1, len(clips) - n_train + 1)]
    return Skeleton(
        cells=cells,
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
    cells: Cells,
    actors: NDArray[np.int64],
    clips_per_actor: int,
    rng: np.random.Generator,
    drawn: Callable[[int], None],
) -> NDArray[np.int64]:
    """[clip, (actor, cell, version)]: each actor's cells, every set as often as any other where they are fewer."""
    is_blend = cells.is_blend
    n_blends = round(clips_per_actor * float(is_blend.mean()))
    rows: list[NDArray[np.int64]] = [np.empty((0, 3), np.int64)]
    for actor in actors:
        chosen = []
        for kind, wanted in ((~is_blend, clips_per_actor - n_blends), (is_blend, n_blends)):
            candidates = rng.permutation(np.flatnonzero(kind))
            # Take one cell of every set before a second one of any.
            turn = _count_before(cells.task.state_set[cells.state[candidates]])
            chosen.append(candidates[np.argsort(turn, kind="stable")][:wanted])
        cell = np.concatenate(chosen)
        rows.append(np.stack([np.full_like(cell, int(actor)), cell, np.ones_like(cell)], axis=1))
        drawn(int(actor) + 1)
    return np.concatenate(rows)


def _count_before(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """[place] how many equal values stand before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    count = np.empty(len(values), np.int64)
    count[order] = np.arange(len(values)) - np.searchsorted(ordered, ordered, side="left")
    return count


def _apply_fold_changes(
    cells: Cells, clips: NDArray[np.int64], actor_fold: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Drop clips of, and add second takes to, a few actors so that the folds have the official counts."""
    is_blend = cells.is_blend[clips[:, 1]]
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


def _name_clip(cells: Cells, actor: str, cell: int, version: int) -> str:
    """BlEmoRE's official file name, e.g. `A102_ang_int1_ver1`, `A303_neu_sit2_ver1`, `A411_mix_ang_hap_30_70_ver1`.

    Of any other task a single's name is the same, and a blend's `A411_mix_joy+awe_80+20_ver1`: a code may hold `_`, but
    never `+`, so that no two cells share a name.
    """
    task, state, level = cells.task, int(cells.state[cell]), int(cells.level[cell])
    if task.state_is_blend[state]:
        mark = "_" if task == BLEMORE else "+"
        percents = task.state_percents(state)
        ratio = f"_{mark.join(map(str, percents.values()))}" if task.ratios_percent else ""
        return f"{actor}_mix_{mark.join(percents)}{ratio}_ver{version}"
    if is_steady(task, state):
        return f"{actor}_{task.classes[state]}_sit{level}_ver{version}"
    return f"{actor}_{task.classes[state]}_int{level}_ver{version}"


def is_steady(task: Task, state: int) -> bool:
    """Whether a single is shown in situations and not in intensities, as BlEmoRE's neutral is."""
    return task.classes == BLEMORE.classes and task.state_name(state) == blemore_looks.STEADY


def _order_recordings(actor: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """[clip] place in the actor's session, a random order within each actor."""
    order = np.lexsort((rng.random(len(actor)), actor))
    ordered_actor = actor[order]
    first = np.searchsorted(ordered_actor, ordered_actor, side="left")
    place = np.empty(len(actor), np.int64)
    place[order] = np.arange(len(actor)) - first
    return place
