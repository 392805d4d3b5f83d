"""Which clips train and which are held out. Fold -1 stands for final models: every source clip trains."""

import numpy as np
from numpy.typing import NDArray

from rfe.data.metadata import Clips
from rfe.errors import DataError

ALL_TRAIN = -1


def training_clips(clips: Clips, fold: int) -> NDArray[np.int64]:
    """Positions of the source clips that train when `fold` is held out (all of them for fold -1).

    Raises:
        DataError: if the data has no such fold.
    """
    return np.flatnonzero(_source_fold(clips, fold) != fold)


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
