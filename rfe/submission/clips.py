"""Clips that a bundle is asked about: names, actors and raw features, of a data folder or of a table."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.data.dataset import Dataset
from rfe.data.features import read_features

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class NewClips:
    """Unlabelled clips of actors that had no part in training."""

    filename: tuple[str, ...]
    actor: NDArray[np.int64]
    """[clip] equal numbers are the same actor; -1 unknown."""
    features: Mapping[str, Float32]
    """Encoder -> [clip, dim] raw features, anything where not available."""
    available: Mapping[str, NDArray[np.bool_]]
    """Encoder -> [clip], of the same encoders."""
    where: str
    """Where they come from, for messages."""

    @classmethod
    def of_dataset(cls, dataset: Dataset, encoders: Collection[str] | None = None) -> "NewClips":
        """A data folder's target clips; where it has none, all of its clips, whose labels are not looked at.

        Args:
            dataset: the folder.
            encoders: read no others; None: all.
        """
        clips = dataset.clips
        files = {name: file for name, file in dataset.encoders.items() if encoders is None or name in encoders}
        asked = clips.target if clips.n_target else clips.source
        return cls(
            tuple(clips.filename[asked].tolist()),
            clips.actor[asked],
            {name: read_features(file, clips)[asked] for name, file in files.items()},
            {name: file.available[asked] for name, file in files.items()},
            str(dataset.path),
        )

    def __len__(self) -> int:
        return len(self.filename)
