"""Finds feature columns that encode a clip's label, actor or fold, left in a table by mistake."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rfe.data.metadata import Clips
from rfe.task import Task

Told = Literal["label", "actor", "fold"]
Int = NDArray[np.int64]

FEW_VALUES = 64
"""A column with more different values is no code of labels or folds."""
EVIDENCE = 10
"""So many clips must repeat what another one told, so that rare labels, chance and few clips say nothing: whether a
clip is a blend is found from 11 blends and 11 others on."""
HELD = 5
"""Clips that a value must have, where a label that all of them share is looked for."""
_SAMPLE = 1000
"""Clips by which columns of many values are judged."""
_BLOCK = 256
"""Columns looked at together."""


def find_leaks(values: NDArray[np.float32], clips: Clips, available: NDArray[np.bool_]) -> dict[Told, list[int]]:
    """Find columns that encode labels, actors or folds: the numbers of the columns, from 0.

    A column tells the label if it has few values and is a function of the state; or whether a clip is a blend, or its
    set, is a function of the column; or all clips of each value share a class; or clips in the column's order stand
    set by set. Features do none of these exactly, however strong they are. A column tells the actor or the fold if it
    has one whole number for each.

    Args:
        values: [clip, dim], anything where not available.
        clips: with labels and folds.
        available: [clip]
    """
    task = clips.task
    chosen = np.flatnonzero(available[: clips.n_source])
    found: dict[Told, list[int]] = {}
    if len(chosen) <= EVIDENCE:
        return found
    state, actor, fold = clips.state[chosen], clips.actor[chosen], clips.fold[chosen]
    sample = np.linspace(0, len(chosen) - 1, min(len(chosen), _SAMPLE)).astype(np.int64)
    for start in range(0, values.shape[1], _BLOCK):
        block = values[chosen, start : start + _BLOCK]
        seen = block[sample]  # [sampled clip, column]
        few = _count_values(seen) <= FEW_VALUES
        by_set = ~few & _orders_sets(seen, task.state_set[state[sample]])
        whole = (seen == np.rint(seen)).all(axis=0)
        for column in range(block.shape[1]):
            one = block[:, column]
            told = _what_is_told(task, one, state, actor, fold, bool(few[column]), bool(whole[column]))
            if by_set[column]:
                told = "label"
            if told is not None:
                found.setdefault(told, []).append(start + column)
    return found


def _what_is_told(
    task: Task, column: NDArray[np.float32], state: Int, actor: Int, fold: Int, has_few: bool, is_whole: bool
) -> Told | None:
    if not has_few and not is_whole:
        return None
    distinct, code = np.unique(column, return_inverse=True)
    if 2 <= len(distinct) <= FEW_VALUES and _tells_label(task, _crosstab(code, state, task.n_states)):
        return "label"
    if is_whole and _is_code(code, fold):
        return "fold"
    if is_whole and (actor >= 0).all() and _is_code(code, actor):
        return "actor"
    return None


def _crosstab(code: Int, of: Int, n_of: int) -> Int:
    """[value, of] clips."""
    n_values = int(code.max()) + 1
    return np.bincount(code * n_of + of, minlength=n_values * n_of).reshape(n_values, n_of)


def _tells_label(task: Task, table: Int) -> bool:
    """Whether a column with clips [value, state] tells the label."""
    return (
        _is_function(table.T)  # as saliences by class are, and the class's number
        or _is_function(_merge(table, task.state_is_blend.astype(np.int64)))  # as `mix` tells
        or _is_function(_merge(table, task.state_set))
        or _shares_classes(task, table)
    )


def _merge(table: Int, group: Int) -> Int:
    """[value, group] clips of [value, state]."""
    merged = np.zeros((len(table), int(group.max()) + 1), np.int64)
    np.add.at(merged.T, group, table.T)
    return merged


def _is_function(table: Int) -> bool:
    """Whether of clips [a, b] each a has one b, not all the same, and enough clips repeat it."""
    if ((table > 0).sum(axis=1) > 1).any():
        return False
    of = table.argmax(axis=1)
    commonest = table.sum(axis=0).argmax()
    held = table.sum(axis=1)
    return bool((held[(of != commonest) & (held > 0)] - 1).sum() >= EVIDENCE)


def _shares_classes(task: Task, table: Int) -> bool:
    """Whether all clips of each value share a class, as those of `emotion_1` do, and not all clips share one."""
    held = table.sum(axis=1)
    shared = (table @ task.set_members[task.state_set]) == held[:, None]  # [value, class]
    often = held >= HELD
    if (held[often] - 1).sum() - (held.max() - 1) < EVIDENCE:
        return False
    return bool(
        shared.any(axis=1).all() and not shared[often].all(axis=0).any() and held[often].sum() >= 0.9 * held.sum()
    )


def _is_code(code: Int, of: Int) -> bool:
    """Whether values and groups stand for each other, one to one; of two groups nothing is said."""
    _, group = np.unique(of, return_inverse=True)
    n_groups = int(group.max()) + 1
    if n_groups < 3 or int(code.max()) + 1 != n_groups or len(code) < n_groups + EVIDENCE:
        return False
    return len(np.unique(code * n_groups + group)) == n_groups


def _count_values(values: NDArray[np.float32]) -> Int:
    """[column] different values."""
    ordered = np.sort(values, axis=0)
    return np.asarray(1 + (ordered[1:] != ordered[:-1]).sum(axis=0))


def _orders_sets(values: NDArray[np.float32], sets: Int) -> NDArray[np.bool_]:
    """[column] whether clips in the column's order stand set by set, as their numbers in a sorted list do."""
    n_sets = len(np.unique(sets))
    if n_sets < 4 or len(sets) < 5 * n_sets:
        return np.zeros(values.shape[1], np.bool_)
    order = np.argsort(values, axis=0)
    changes = np.diff(sets[order], axis=0) != 0
    ordered = np.take_along_axis(values, order, axis=0)
    ties = ordered[1:] == ordered[:-1]
    return np.asarray((changes.sum(axis=0) == n_sets - 1) & ~(changes & ties).any(axis=0))
