"""Parts of a report, each kept as a small JSON file beside it when done: a script can be stopped and run again.

Hits are kept by actor: sums, from which every interval and paired difference can be made again, and no clip's label.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.metrics.intervals import HitTable
from rfe.tracking.provenance import git_commit
from rfe.writing import write_text


def make_part(path: Path, make: Callable[[], Any]) -> None:
    """Make a part unless it is there; remove its file to have it made again."""
    if path.exists():
        return
    started = time.monotonic()
    result = make()
    seconds = round(time.monotonic() - started, 1)
    write_text(path, json.dumps({"seconds": seconds, "commit": git_commit()[:7], "result": result}))
    print(f"{path.stem}: {seconds:.0f} s", flush=True)


def read_parts(folder: Path) -> dict[str, dict[str, Any]]:
    """Name -> `seconds`, `commit` and `result` of the parts there are."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def hits_by_actor(
    truth_state: NDArray[np.int64],
    answers: NDArray[np.int64],
    actor: NDArray[np.int64],
    fold: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Hits summed over each actor's clips.

    Args:
        truth_state: [clip].
        answers: [seed, clip] or [clip] states.
        actor, fold: [clip]; an actor is of one fold. No fold: one for all.
    """
    table = HitTable.of_answers(truth_state, answers, actor, fold)
    mine = table.actor == np.unique(table.actor)[:, None]  # [actor, clip]
    return {
        "fold": [int(table.fold[own][0]) for own in mine],
        "clips": mine.sum(1).tolist(),
        "blends": (mine & table.blend).sum(1).tolist(),
        "presence": (table.presence @ mine.T).astype(int).tolist(),
        "salience": (table.salience @ mine.T).astype(int).tolist(),
    }


def table_of(hits: dict[str, Any], *, over_seeds: bool = False) -> HitTable:
    """A table with the same sums by actor: each hit is spread evenly over the actor's clips, or blends.

    Args:
        hits: of `hits_by_actor`.
        over_seeds: as one seed, the mean over seeds.
    """
    clips, blends = np.array(hits["clips"]), np.array(hits["blends"])
    actor = np.repeat(np.arange(len(clips)), clips)
    first = np.repeat(np.cumsum(clips) - clips, clips)
    blend = np.arange(len(actor)) - first < blends[actor]
    presence, salience = (np.array(hits[name], float) for name in ("presence", "salience"))  # [seed, actor]
    if over_seeds:
        presence, salience = presence.mean(0, keepdims=True), salience.mean(0, keepdims=True)
    presence, salience = presence / clips, salience / np.maximum(blends, 1)
    return HitTable(presence[:, actor], salience[:, actor] * blend, blend, actor, np.array(hits["fold"])[actor])


def join_tables(tables: Sequence[HitTable]) -> HitTable:
    """Tables of different clips and actors as one."""
    first = np.cumsum([0, *(int(one.actor.max()) + 1 for one in tables)])
    return HitTable(
        np.concatenate([one.presence for one in tables], 1),
        np.concatenate([one.salience for one in tables], 1),
        np.concatenate([one.blend for one in tables]),
        np.concatenate([one.actor + start for one, start in zip(tables, first, strict=False)]),
        np.concatenate([one.fold for one in tables]),
    )
