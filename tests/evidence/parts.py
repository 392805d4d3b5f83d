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

from rfe.metrics.blemore import Blemore
from rfe.metrics.intervals import InfluenceTable
from rfe.task import BLEMORE
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


HITS = ("presence", "salience")


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
    mine = actor == np.unique(actor)[:, None]  # [actor, clip]
    fold = np.zeros(len(actor), np.int64) if fold is None else fold
    totals = Blemore().totals(BLEMORE, truth_state, np.atleast_2d(answers), mine.T.astype(float))  # [seed, actor, 4]
    presence, salience, clips, blends = np.moveaxis(totals.astype(int), -1, 0)
    return {
        "fold": [int(fold[own][0]) for own in mine],
        "clips": clips[0].tolist(),
        "blends": blends[0].tolist(),
        "presence": presence.tolist(),
        "salience": salience.tolist(),
    }


def table_of(hits: dict[str, Any], *, over_seeds: bool = False) -> InfluenceTable:
    """The table whose clips are actors: an interval needs each actor's sum of influences only.

    Args:
        hits: of `hits_by_actor`.
        over_seeds: as one seed, the mean over seeds.
    """
    return join_tables([hits], over_seeds=over_seeds)


def join_tables(parts: Sequence[dict[str, Any]], *, over_seeds: bool = False) -> InfluenceTable:
    """One table of several parts' clips and actors; arguments as `table_of`."""
    presence, salience = (np.concatenate([one[name] for one in parts], -1).astype(float) for name in HITS)
    clips, blends, fold = (np.concatenate([one[name] for one in parts]) for name in ("clips", "blends", "fold"))
    if over_seeds:
        presence, salience = presence.mean(0, keepdims=True), salience.mean(0, keepdims=True)
    of_presence = presence.mean(0).sum() / clips.sum()
    of_salience = salience.mean(0).sum() / max(blends.sum(), 1)
    halves = {
        "acc_presence": (presence - of_presence * clips) / clips.sum(),
        "acc_salience": (salience - of_salience * blends) / max(blends.sum(), 1),
    }
    estimates = {"acc_presence": of_presence, "acc_salience": of_salience}
    return InfluenceTable(
        {"score": (of_presence + of_salience) / 2, **estimates},
        {"score": (halves["acc_presence"] + halves["acc_salience"]) / 2, **halves},
        np.arange(len(clips)),
        fold,
    )
