"""Folders of per-clip time series into one feature file: seven statistics over time of every channel."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.arrays import UNREADABLE_ARRAY
from rfe.data.faults import Faults
from rfe.data.statistics import N_STATISTICS, clip_statistics
from rfe.errors import DataError
from rfe.progress import Progress, SilentProgress
from rfe.workspace import write_beside

SERIES_SUFFIXES = (".npy", ".csv")
_COUNTERS = frozenset(("frame", "frame_id", "timestamp", "face_id", "confidence", "success"))
"""Columns of a frame table that number or rate the frame; they describe nothing of the face."""


@dataclass(frozen=True)
class Aggregation:
    """A feature file that was made, and what of the folders did not go into it."""

    encoder: str
    path: Path
    clips: int
    dim: int
    skipped: tuple[str, ...]
    """Clips without one complete frame: they get no row and will be masked."""
    incomplete_frames: int
    """Frames left out because a channel was missing or not finite (e.g. no face was found)."""
    ignored: tuple[str, ...]
    """Names of stray files and folders."""


def aggregate_series(
    folder: Path | Sequence[Path], output: Path, *, encoder: str | None = None, progress: Progress | None = None
) -> Aggregation:
    """Write `<encoder>_static_features.npz` from one `<filename>.npy` or `.csv` for each clip.

    A series is [time, channel] (axes of length one between are dropped; [channel] is a single step), a CSV file has a
    header and one line for each frame. Frames with a gap are left out; a clip without a whole frame is skipped.

    Args:
        folder: holds the series; several folders (training and test clips) make one file.
        output: the data folder to write into, or the `.npz` file itself.
        encoder: its name; default the first folder's name without `_train` or `_test`, in lower case.

    Raises:
        DataError: no series, files that cannot be read, clips that differ in width or stand there twice; all faults
            in one message, and nothing is written.
    """
    folders = [Path(folder)] if isinstance(folder, str | Path) else [Path(one) for one in folder]
    encoder = encoder or name_encoder(folders[0])
    path = output if output.suffix == ".npz" else output / f"{encoder}_static_features.npz"
    progress = progress or SilentProgress()
    files, ignored = _list_series(folders)
    faults = Faults()
    rows: dict[str, NDArray[np.float32]] = {}
    skipped: list[str] = []
    incomplete = 0
    progress.start(f"statistics of {encoder}", len(files))
    for count, file in enumerate(files, 1):
        try:
            series = read_series(file)
        except DataError as error:
            faults.problem(str(error))
            continue
        whole = np.isfinite(series).all(axis=1)
        incomplete += int((~whole).sum())
        if file.stem in rows or file.stem in skipped:
            faults.problem(f"{file}: a second series of clip {file.stem}; keep one")
        elif whole.any():
            rows[file.stem] = clip_statistics(series[whole])
        else:
            skipped.append(file.stem)
        progress.update(count)
    progress.close()
    _report_widths(rows, faults)
    if not rows:
        faults.problem("no clip has a series to make statistics of; expected <filename>.npy or <filename>.csv")
    faults.refuse(str(folders[0]))
    values = np.stack(list(rows.values()))  # [clip, 7 * channel]
    with write_beside(path) as beside:
        np.savez(beside, X=values, filenames=np.array(list(rows), np.str_))
    n_clips, dim = values.shape
    return Aggregation(encoder, path, n_clips, dim, tuple(skipped), incomplete, tuple(ignored))


def name_encoder(folder: Path) -> str:
    """`ImageBind_train` -> `imagebind`."""
    return folder.name.removesuffix("_train").removesuffix("_test").lower()


def read_series(path: Path) -> NDArray[np.float32]:
    """[time, channel] of one file; gaps of a CSV file are NaN.

    Raises:
        DataError: unreadable, truncated, of Python objects, not numbers, or of another shape.
    """
    try:
        if path.suffix == ".csv":
            return _read_frames(path)
        # mapped, so that a false header cannot claim memory; and never taken for a zip of arrays
        series: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (*UNREADABLE_ARRAY, csv.Error) as error:
        raise DataError(f"{path}: truncated, damaged or not a series of numbers ({error})") from None
    if series.dtype.kind not in "fiu":
        raise DataError(f"{path}: values of type {series.dtype}; a series holds real numbers")
    if series.ndim == 1:
        series = series[np.newaxis]
    if series.ndim < 2 or any(size != 1 for size in series.shape[1:-1]):
        raise DataError(f"{path}: shape {list(series.shape)}; a series is [time, channel]")
    return np.asarray(series.reshape(len(series), series.shape[-1]), np.float32)


def _read_frames(path: Path) -> NDArray[np.float32]:
    frames = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = [name.strip().lower() for name in next(reader, [])]
        kept = [index for index, name in enumerate(header) if name not in _COUNTERS]
        if not kept:
            raise ValueError("no header of channel names")
        for cells in reader:
            if len(cells) != len(header):
                raise ValueError(f"line {reader.line_num} has {len(cells)} fields, the header {len(header)}")
            frames.append([float(cells[index]) if cells[index].strip() else math.nan for index in kept])
    return np.array(frames, np.float32).reshape(-1, len(kept))


def _list_series(folders: list[Path]) -> tuple[list[Path], list[str]]:
    """Series files in order of name, and the names of everything else that is not hidden."""
    files: list[Path] = []
    ignored: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder; give one that holds <filename>.npy or <filename>.csv files")
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.suffix in SERIES_SUFFIXES:
                files.append(path)
            elif not path.name.startswith("."):
                ignored.append(path.name)
    return [path for path in files if not path.name.startswith(".")], ignored


def _report_widths(rows: dict[str, NDArray[np.float32]], faults: Faults) -> None:
    widths = [len(row) // N_STATISTICS for row in rows.values()]
    usual = max(set(widths), key=widths.count, default=0)
    for name, width in zip(rows, widths, strict=True):
        if width != usual:
            faults.problem(f"{width} channels where most clips have {usual}; compute these clips again", name)
