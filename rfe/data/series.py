"""One clip's series of a `.npy`, `.npz` or `.csv` file, without trusting the file; a fault has a reason to count by."""

import csv
import errno
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rfe.data.arrays import DAMAGED_ZIP, UNREADABLE_ARRAY, Arrays
from rfe.data.columns import list_columns
from rfe.data.frame_table import read_frames
from rfe.data.reading import Reading, Series, SeriesError
from rfe.data.statistics import clip_statistics
from rfe.errors import DataError

SERIES_SUFFIXES = (".npy", ".csv")
"""What a folder of series is looked through for."""
DAMAGED = "truncated, damaged or not a series of numbers"
NOT_UTF8 = "not UTF-8 text; save it as a UTF-8 CSV file"
NO_FRAME = "no whole frame"
NO_DETECTION = "no frame in which anything was found (success is 0 in all)"
SHORTEST = 3
"""Fewer frames than this are even or constant by chance."""


@dataclass(frozen=True)
class ClipRow:
    """A clip's features, and what is worth knowing of the series that they were made of."""

    values: NDArray[np.float32]
    """[7 * channel] statistics over time (`rfe.data.statistics`), or the vector [channel] as it is."""
    series: Series
    """As it was read, all pieces together."""
    incomplete: int
    """Frames that were left out because a channel was missing or not finite."""
    steady: frozenset[int] = frozenset()
    """Channels that run up or down evenly over the whole clip, as a counter or a time does."""
    constant: frozenset[int] = frozenset()
    """Channels that have one value in the whole clip."""


def read_row(paths: Sequence[Path], reading: Reading) -> ClipRow:
    """A clip's features of its file, or of the pieces of its series.

    Raises:
        SeriesError: as `read_series` and `make_row`; pieces differ in width or in their columns.
        DataError: as `read_series`.
    """
    pieces = [read_series(path, reading) for path in paths]
    return make_row(paths[0], pieces[0] if len(pieces) == 1 else _join(paths[0], pieces), reading)


def make_row(path: Path, series: Series, reading: Reading) -> ClipRow:
    """A clip's features.

    Args:
        path: named in messages.
        series: the clip's.
        reading: says whether statistics are taken of it.

    Raises:
        SeriesError: no frame is whole, or a vector has gaps or several rows.
    """
    values = series.values
    whole = np.isfinite(values).all(axis=1)
    if not len(values) and series.undetected:
        raise SeriesError(path, NO_DETECTION, f"of {series.undetected}")
    if reading.form == "vector":
        if len(values) > 1:
            remedy = "form: series takes statistics over them"
            remedy += (
                ", time_axis: 1 reads a column as the vector" if values.shape[1] == 1 and not series.columns else ""
            )
            raise SeriesError(path, f"several rows, not one vector; {remedy}", f"{len(values)} rows")
        if not len(values):
            raise SeriesError(path, "no row")
        if not whole.all():
            raise SeriesError(path, "a vector with values that are not finite", series.gap)
        return ClipRow(values[0], series, 0)
    if not whole.any():
        raise SeriesError(path, NO_FRAME, _explain_gaps(series))
    kept = values if whole.all() else values[whole]
    return ClipRow(clip_statistics(kept), series, int((~whole).sum()), *_find_unlikely(kept))


def _explain_gaps(series: Series) -> str:
    """Which channel keeps every frame from being whole, where it is not all of them."""
    empty = np.flatnonzero(~np.isfinite(series.values).any(axis=0)).tolist()
    if not empty or len(empty) == series.values.shape[1]:
        return series.gap
    names = [series.columns[index] if series.columns else str(index) for index in empty]
    return f"channel {list_columns(names, 3)} has no value in any frame" + (f"; {series.gap}" if series.gap else "")


def _find_unlikely(values: NDArray[np.float32]) -> tuple[frozenset[int], frozenset[int]]:
    """Channels that run evenly, and constant ones: few features are, while counters, times and labels are."""
    if len(values) < SHORTEST:
        return frozenset(), frozenset()
    steps = np.diff(values.astype(np.float64), axis=0)
    first = steps[0]
    # times are rounded: 0.033, 0.067, 0.1
    steady = (np.abs(steps - first) <= 0.1 * np.abs(first)).all(axis=0) & (first != 0)
    constant = (steps == 0).all(axis=0)
    return frozenset(np.flatnonzero(steady).tolist()), frozenset(np.flatnonzero(constant).tolist())


def _join(path: Path, pieces: Sequence[Series]) -> Series:
    """The pieces one after the other, each with its columns in the order of the first."""
    first = pieces[0]
    if len({piece.values.shape[1] for piece in pieces}) > 1:
        raise SeriesError(path.parent, "pieces that differ in width")
    if len({frozenset(piece.columns) for piece in pieces}) > 1:
        raise SeriesError(path.parent, "pieces that differ in their columns")
    ordered = [
        piece.values[:, [piece.columns.index(name) for name in first.columns]] if first.columns else piece.values
        for piece in pieces
    ]
    return Series(
        np.concatenate(ordered),
        first.columns,
        tuple(dict.fromkeys(name for piece in pieces for name in piece.left_out)),
        sum(piece.undetected for piece in pieces),
        max(piece.faces for piece in pieces),
        next((piece.gap for piece in pieces if piece.gap), ""),
    )


def read_series(path: Path, reading: Reading | None = None) -> Series:
    """The series [time, channel] of one file.

    Axes of length one between time and channels are dropped; [channel] is a single step.

    Raises:
        SeriesError: truncated, damaged, of Python objects, not numbers, or of another shape.
        DataError: the operating system does not let it be read.
    """
    reading = reading or Reading()
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            return read_frames(path, reading)
        series = _read_archived(path, reading.array) if suffix == ".npz" else _map_array(path)
        return Series(_as_series(path, series, reading.time_axis))
    except SeriesError:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the disk's fault and not the file's: it may read well tomorrow
            raise DataError(f"{path}: cannot be read ({error.strerror}); see to it, or move the file away") from None
        raise SeriesError(path, DAMAGED, str(error)) from None
    except MemoryError:
        raise SeriesError(path, "does not fit into this machine's memory") from None
    except UnicodeDecodeError as error:
        raise SeriesError(path, NOT_UTF8 if error.encoding == "utf-8" else DAMAGED, str(error)) from None
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
                path, f"{len(arrays.names)} arrays; say which with array: in the mapping", ", ".join(arrays.names)
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
        raise SeriesError(path, f"no axis {time_axis}", f"shape {shape}")
    if series.ndim < 2 or any(size != 1 for size in series.shape[1:-1]):
        if time_axis == 0 and len(shape) == 3 and shape[0] == 1:
            reason = "a shape [1, time, channel]; write time_axis: 1 in the mapping, or save array[0]"
        else:
            reason = f"an array of {len(shape)} axes; a series is [time, channel]"
        raise SeriesError(path, reason, f"shape {shape}")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity, which is a gap
        return np.asarray(series.reshape(len(series), series.shape[-1]), np.float32)
