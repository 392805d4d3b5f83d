"""Which clips train and which are held out. Fold -1 stands for final models: every source clip trains."""

import numpy as np
from numpy.typing import NDArray

from rfe.data.metadata import Clips
from rfe.errors import DataError
from rfe.model.random import stream

ALL_TRAIN = -1


def training_clips(clips: Clips, fold: int, n_actors: int | None = None) -> NDArray[np.int64]:
    """Positions of the source clips that train when `fold` is held out (all of them for fold -1).

    Args:
        clips: of the data set.
        fold: the held-out fold.
        n_actors: how many training actors count, see `training_actors`; None: all.

    Raises:
        DataError: if the data has no such fold, or not so many training actors are known.
    """
    index = np.flatnonzero(_source_fold(clips, fold) != fold)
    if n_actors is None:
        return index
    return index[np.isin(clips.actor[index], training_actors(clips, fold, n_actors))]


def training_actors(clips: Clips, fold: int, n_actors: int) -> NDArray[np.int64]:
    """`n_actors` of the fold's training actors, drawn by a stream that is the fold's own: the fewer are among the more.

    Raises:
        DataError: the actors are not known, or there are not so many.
    """
    actors = np.unique(clips.actor[training_clips(clips, fold)])
    if not clips.source_has_actors:
        raise DataError(
            f"data.training_actors: {n_actors} needs video_id for all training clips, which this data lacks; set it "
            "to all"
        )
    if n_actors > len(actors):
        raise DataError(
            f"data.training_actors: {n_actors}, but only {len(actors)} actors train where fold {fold} is held out; "
            "lower it, or set it to all"
        )
    return stream(0, fold, "training actors").permutation(actors)[:n_actors]


def held_out_clips(clips: Clips, fold: int) -> NDArray[np.int64]:
    """Positions of the source clips of `fold` (none for fold -1).

    Raises:
        DataError: if the data has no such fold.
    """
    return np.flatnonzero(_source_fold(clips, fold) == fold)


def _source_fold(clips: Clips, fold: int) -> NDArray[np.int64]:
    if fold != ALL_TRAIN and fold not in clips.folds:
        raise DataError(f"there is no fold {fold}; the data has folds {', '.join(map(str, clips.folds))}")
    return clips.fold[: clips.n_source]
