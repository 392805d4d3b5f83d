"""One clip's series of a `.npy`, `.npz` or `.csv` file, without trusting the file; a fault has a reason to count by."""

import csv
import errno
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rfe.data.arrays import DAMAGED_ZIP, UNREADABLE_ARRAY, Arrays
from rfe.data.statistics import clip_statistics
from rfe.errors import DataError

SERIES_SUFFIXES = (".npy", ".csv")
"""What a folder of series is looked through for."""
DAMAGED = "truncated, damaged or not a series of numbers"
NO_FRAME = "no whole frame"
_COUNTERS = frozenset(("frame", "frame_id", "timestamp", "face_id", "confidence", "success"))
"""Columns of a frame table that number or rate the frame; they describe nothing of the face."""


class SeriesError(DataError):
    """A clip's file that cannot be used.

    Args:
        path: of the file.
        reason: without the file's name, so that clips can be counted by it.
        detail: what more is known.
    """

    def __init__(self, path: Path, reason: str, detail: str = "") -> None:
        super().__init__(f"{path}: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason


@dataclass(frozen=True)
class Reading:
    """How a clip's file is read, and what becomes of it."""

    form: Literal["series", "vector"] = "series"
    """`series`: seven statistics over time; `vector`: one vector for each clip, taken as it is."""
    array: str | None = None
    """Name of the array in a `.npz` file; None: it has only one."""
    time_axis: int = 0
    """The axis of an array that is time."""
    columns: tuple[str, ...] = ()
    """The columns of a CSV file that are channels; none given: all but those that number or rate the frame."""


def read_row(paths: Sequence[Path], reading: Reading) -> tuple[NDArray[np.float32], int]:
    """A clip's features, and how many incomplete frames were left out for them.

    Args:
        paths: the clip's file, or the pieces of its series.

    Returns:
        [7 * channel] statistics over time (`rfe.data.statistics`), or the vector [channel] as it is.

    Raises:
        SeriesError: as `read_series`; no frame is whole, pieces differ in width, or a vector has gaps or several rows.
        DataError: as `read_series`.
    """
    pieces = [read_series(path, reading) for path in paths]
    if len({piece.shape[1] for piece in pieces}) > 1:
        raise SeriesError(paths[0].parent, "pieces that differ in width")
    series = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    whole = np.isfinite(series).all(axis=1)
    if reading.form == "vector":
        if len(series) != 1:
            raise SeriesError(paths[0], f"{len(series)} rows, not one vector")
        if not whole.all():
            raise SeriesError(paths[0], "a vector with values that are not finite")
        return series[0], 0
    if not whole.any():
        raise SeriesError(paths[0], NO_FRAME)
    return clip_statistics(series if whole.all() else series[whole]), int((~whole).sum())


def read_series(path: Path, reading: Reading | None = None) -> NDArray[np.float32]:
    """[time, channel] of one file; gaps of a CSV file are NaN.

    Axes of length one between time and channels are dropped; [channel] is a single step.

    Raises:
        SeriesError: truncated, damaged, of Python objects, not numbers, or of another shape.
        DataError: the operating system does not let it be read.
    """
    reading = reading or Reading()
    try:
        if path.suffix == ".csv":
            return _read_frames(path, reading.columns)
        series = _read_archived(path, reading.array) if path.suffix == ".npz" else _map_array(path)
        return _as_series(path, series, reading.time_axis)
    except SeriesError:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the disk's fault and not the file's: it may read well tomorrow
            raise DataError(f"{path}: cannot be read ({error.strerror}); see to it, or move the file away") from None
        raise SeriesError(path, DAMAGED, str(error)) from None
    except MemoryError:
        raise SeriesError(path, "does not fit into this machine's memory") from None
    except (*UNREADABLE_ARRAY, *DAMAGED_ZIP, csv.Error) as error:
        raise SeriesError(path, DAMAGED, str(error)) from None


def _map_array(path: Path) -> NDArray[np.generic]:
    """Mapped, so that a false header cannot claim memory."""
    try:
        # never taken for a zip of arrays
        return np.asanyarray(np.lib.format.open_memmap(path, mode="r"))
    except ValueError as error:
        if "objects in dtype" in str(error):
            raise SeriesError(path, "Python objects, which only pickle could load (unsafe)") from None
        raise


def _read_archived(path: Path, array: str | None) -> NDArray[np.generic]:
    with zipfile.ZipFile(path) as archive:
        arrays = Arrays(archive, path)
        if array is None and len(arrays.names) != 1:
            raise SeriesError(
                path, f"{len(arrays.names)} arrays; the mapping's `array` says which", ", ".join(arrays.names)
            )
        name = arrays.names[0] if array is None else array
        if name not in arrays.names:
            raise SeriesError(path, f"no array {name!r}", f"it has: {', '.join(arrays.names) or 'nothing'}")
        try:
            return arrays.read(name)
        except DataError as error:  # of objects, or more than the file can hold
            raise SeriesError(path, f"array {name!r} is truncated, damaged or unsafe", str(error)) from None


def _as_series(path: Path, series: NDArray[np.generic], time_axis: int) -> NDArray[np.float32]:
    if series.dtype.kind not in "fiu":
        raise SeriesError(path, f"values of type {series.dtype}; a series holds real numbers")
    shape = list(series.shape)
    if series.ndim == 1:
        series = series[np.newaxis]
    elif time_axis < series.ndim:
        series = np.moveaxis(series, time_axis, 0)
    else:
        raise SeriesError(path, f"shape {shape} has no axis {time_axis}")
    if series.ndim < 2 or any(size != 1 for size in series.shape[1:-1]):
        raise SeriesError(path, f"shape {shape}; a series is [time, channel]")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity, which is a gap
        return np.asarray(series.reshape(len(series), series.shape[-1]), np.float32)


def _read_frames(path: Path, columns: Sequence[str]) -> NDArray[np.float32]:
    frames = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = [name.strip().lower() for name in next(reader, [])]
        lacking = [name for name in columns if name.lower() not in header]
        if lacking:
            raise SeriesError(path, f"no column {', '.join(lacking)}", f"it has: {', '.join(header) or 'nothing'}")
        kept = [header.index(name.lower()) for name in columns]
        kept = kept or [index for index, name in enumerate(header) if name not in _COUNTERS]
        if not kept:
            raise SeriesError(path, "no header of channel names")
        for cells in reader:
            if len(cells) != len(header):
                detail = f"line {reader.line_num} has {len(cells)} fields, the header {len(header)}"
                raise SeriesError(path, "a line with more or fewer fields than the header", detail)
            try:
                frames.append([float(cells[index]) if cells[index].strip() else math.nan for index in kept])
            except ValueError as error:
                raise SeriesError(path, "a field that is not a number", f"line {reader.line_num}: {error}") from None
    return np.array(frames, np.float32).reshape(-1, len(kept))
