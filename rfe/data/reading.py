"""How a clip's file is read, the series read from it, and errors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rfe.errors import DataError


@dataclass(frozen=True)
class Reading:
    """How a clip's file is read and turned into features."""

    form: Literal["series", "vector"] = "series"
    """`series`: seven statistics over time; `vector`: one vector for each clip, taken as it is."""
    array: str | None = None
    """Name of the array in a `.npz` file; None: it has only one."""
    time_axis: int = 0
    """The axis of an array that is time."""
    columns: tuple[str, ...] = ()
    """The columns of a table that are channels, see `rfe.data.columns`; none given: all that are not known to be
    something else."""
    without: tuple[str, ...] = ()
    """Columns of a table that are left out."""
    header: bool | None = None
    """Whether a table's first line names its columns; None: told by whether it is all numbers."""
    clip_column: str | None = None
    """The column of one table of all clips that names the clip; None: each clip has separate files."""


@dataclass(frozen=True)
class Series:
    """One clip's series, as read from its file."""

    values: NDArray[np.float32]
    """[time, channel]; gaps are NaN or infinite."""
    columns: tuple[str, ...] = ()
    """[channel] names, of a table; () of an array."""
    left_out: tuple[str, ...] = ()
    """Columns that were left out as they are known to be no channels."""
    undetected: int = 0
    """Frames that were left out as the table says that nothing was found in them (`success` is 0)."""
    faces: int = 0
    """How many faces the frames are of, where the table numbers them (`face_id`)."""
    gap: str = ""
    """File, line, column and text of the first gap of a table; "": none."""


class SeriesError(DataError):
    """A clip's file that cannot be used.

    Args:
        path: of the file.
        reason: without the file's name and what differs from file to file, so that clips can be counted by it.
        detail: what more is known of this file.
    """

    def __init__(self, path: Path, reason: str, detail: str = "") -> None:
        super().__init__(f"{path}: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.example = f"{path}" + (f", {detail}" if detail else "")
