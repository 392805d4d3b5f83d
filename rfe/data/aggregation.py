"""One encoder's files of clips into one feature file: in parallel, in bounded memory, and going on where it broke off.

A clip that cannot be used gets no row and is reported with the reason; it will be masked.
"""

import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import numpy as np
from numpy.lib import format as npy_format

from rfe.data.faults import Faults, list_names
from rfe.data.features import feature_file
from rfe.data.parts import Files, Part, PartSummary, find_part, make_part, read_rows, split_clips
from rfe.data.series import SERIES_SUFFIXES, Reading
from rfe.data.statistics import N_STATISTICS
from rfe.errors import DataError
from rfe.progress import Progress, SilentProgress
from rfe.writing import write_beside

MOST_WORKERS = 4
"""Processes, unless asked for more: reading soon waits for the disk."""
PARTS_PER_WORKER = 4
"""Fewer do not pay for starting another process."""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal clips give equal files


@dataclass(frozen=True)
class SeriesFiles:
    """What is there of one encoder."""

    encoder: str
    clips: Mapping[str, Files]
    """Clip -> its file, or the pieces of its series; in the order of rows."""
    reading: Reading = field(default_factory=Reading)
    ignored: tuple[str, ...] = ()
    """Names of stray files and folders."""
    skipped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Reason -> clips that are known to get no row before any is read."""


@dataclass(frozen=True)
class Aggregation:
    """A feature file that was made, and what did not go into it."""

    encoder: str
    path: Path
    clips: int
    dim: int
    skipped: dict[str, tuple[str, ...]]
    """Reason -> clips without a row: they will be masked."""
    incomplete_frames: int
    """Frames left out because a channel was missing or not finite (e.g. no face was found)."""
    ignored: tuple[str, ...]
    """Names of stray files and folders."""
    resumed: int
    """Clips that an earlier, broken-off run had done."""

    @property
    def n_skipped(self) -> int:
        return sum(map(len, self.skipped.values()))


def aggregate_series(
    folder: Path | Sequence[Path],
    output: Path,
    *,
    encoder: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Aggregation:
    """Write `<encoder>_static_features.npz` from one `<filename>.npy` or `.csv` for each clip.

    A series is [time, channel] (axes of length one between are dropped; [channel] is a single step), a CSV file has a
    header and one line for each frame. Frames with a gap are left out.

    Args:
        folder: holds the series; several folders (training and test clips) make one file.
        output: the data folder to write into, or the `.npz` file itself.
        encoder: its name; default the first folder's name without `_train` or `_test`, in lower case.
        workers: processes; default as many as pay, at most `MOST_WORKERS`.

    Raises:
        DataError: no folder, a clip that stands there twice, or as `aggregate_files`.
    """
    folders = [Path(folder)] if isinstance(folder, str | Path) else [Path(one) for one in folder]
    encoder = encoder or name_encoder(folders[0])
    path = output if output.suffix == ".npz" else output / feature_file(encoder)
    faults = Faults()
    files = list_series(folders, encoder, faults)
    faults.refuse(str(folders[0]))
    parts = path.with_name(f".{path.stem}.partial")
    made = aggregate_files(files, path, parts, workers=workers, progress=progress)
    rmtree(parts, ignore_errors=True)
    return made


def aggregate_files(
    files: SeriesFiles,
    path: Path,
    parts: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Aggregation:
    """Write the feature file `path`.

    Args:
        parts: folder for what is done of it; what an earlier run left there is not done again. It stays.

    Raises:
        DataError: no clip can be used, or there is no width that most clips have.
    """
    all_parts = split_clips(files.clips, files.reading, parts)
    ordered, resumed = _complete_parts(files.encoder, all_parts, workers, progress or SilentProgress())
    rows = [row for one in ordered for row in zip(one.names, one.dims, strict=True)]  # (clip, features)
    skipped = {reason: list(names) for reason, names in files.skipped.items()}
    for one in ordered:
        for reason, names in one.skipped.items():
            skipped.setdefault(reason, []).extend(names)
    dim = _usual_dim(files, [other for _, other in rows], skipped)
    for name, other in rows:
        if other != dim:
            reason = f"{_width(files, other)} where most clips have {_width(files, dim)}"
            skipped.setdefault(reason, []).append(name)
    kept = [name for name, other in rows if other == dim]
    _write_features(path, kept, dim, all_parts)
    return Aggregation(
        encoder=files.encoder,
        path=path,
        clips=len(kept),
        dim=dim,
        skipped={reason: tuple(names) for reason, names in skipped.items()},
        incomplete_frames=sum(one.incomplete_frames for one in ordered),
        ignored=files.ignored,
        resumed=resumed,
    )


def list_series(folders: Sequence[Path], encoder: str, faults: Faults) -> SeriesFiles:
    """What folders hold for an encoder, by name; a clip that stands there twice is noted.

    Raises:
        DataError: one is no folder.
    """
    clips: dict[str, Files] = {}
    ignored: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder; give one that holds <filename>.npy or <filename>.csv files")
        for path in sorted(folder.iterdir()):
            if path.name.startswith("."):
                continue
            if not path.is_file() or path.suffix not in SERIES_SUFFIXES:
                ignored.append(path.name)
            elif path.stem in clips:
                faults.problem(f"{path}: a second series of clip {path.stem}, beside {clips[path.stem][0]}; keep one")
            else:
                clips[path.stem] = (path,)
    return SeriesFiles(encoder, clips, Reading(), tuple(ignored))


def name_encoder(folder: Path) -> str:
    """`ImageBind_train` -> `imagebind`."""
    return folder.name.removesuffix("_train").removesuffix("_test").lower()


def _complete_parts(
    encoder: str, parts: Sequence[Part], workers: int | None, progress: Progress
) -> tuple[list[PartSummary], int]:
    """What became of each part, in order, and how many clips were done already."""
    progress.start(f"{encoder}: clips", sum(len(part.clips) for part in parts))
    found = {part.path: summary for part in parts if (summary := find_part(part)) is not None}
    resumed = done = sum(len(part.clips) for part in parts if part.path in found)
    progress.update(done)
    for part, summary in _make_parts([part for part in parts if part.path not in found], workers):
        found[part.path] = summary
        done += len(part.clips)
        progress.update(done)
    progress.close()
    return [found[part.path] for part in parts], resumed


def _make_parts(parts: Sequence[Part], workers: int | None) -> Iterator[tuple[Part, PartSummary]]:
    """Each part as it is done, in any order."""
    if not parts:
        return
    import joblib

    if workers is None:
        workers = min(MOST_WORKERS, joblib.cpu_count(), len(parts) // PARTS_PER_WORKER)
    if workers < 2:
        yield from ((part, make_part(part)) for part in parts)
        return
    # joblib's processes end by themselves when this one was killed, and do not run the caller's script again
    pool = joblib.Parallel(n_jobs=min(workers, len(parts)), return_as="generator_unordered", batch_size=1)
    yield from pool(joblib.delayed(_make_and_tell)(part) for part in parts)


def _make_and_tell(part: Part) -> tuple[Part, PartSummary]:
    return part, make_part(part)


def _usual_dim(files: SeriesFiles, dims: Sequence[int], skipped: Mapping[str, Sequence[str]]) -> int:
    if not dims:
        reasons = "; ".join(f"{reason}: {list_names(names)}" for reason, names in skipped.items())
        raise DataError(
            f"{files.encoder}: no clip has a series to make statistics of; expected <filename>.npy or <filename>.csv"
            + (f" ({reasons})" if reasons else "")
        )
    common = Counter(dims).most_common(5)
    usual, count = common[0]
    if 2 * count <= len(dims):
        found = ", ".join(f"{_width(files, dim)} for {number}" for dim, number in common)
        raise DataError(f"{files.encoder}: clips differ in width ({found}); are these files of one encoder?")
    return usual


def _width(files: SeriesFiles, dim: int) -> str:
    return f"{dim} values" if files.reading.form == "vector" else f"{dim // N_STATISTICS} channels"


def _write_features(path: Path, names: Sequence[str], dim: int, parts: Sequence[Part]) -> None:
    """`X` and `filenames` as `np.savez` writes them, with one part in memory at a time."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(names), dim)}
    with write_beside(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        with archive.open(zipfile.ZipInfo("X.npy", _EPOCH), "w", force_zip64=True) as file:
            npy_format.write_array_header_1_0(file, header)
            for part in parts:
                for row in read_rows(part):
                    if len(row) == dim:
                        file.write(row.astype("<f4").tobytes())
        with archive.open(zipfile.ZipInfo("filenames.npy", _EPOCH), "w") as file:
            npy_format.write_array(file, np.array(names, np.str_), allow_pickle=False)
