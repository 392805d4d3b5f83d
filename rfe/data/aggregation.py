"""Aggregates one encoder's per-clip files into one feature file: parallel, in bounded memory, resumable.

A clip that cannot be used gets no row and is reported with the reason; it will be masked.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from rfe.data.alignment import Alignment, align_rows
from rfe.data.clip_table import make_table_parts
from rfe.data.explanations import explain_misfits, explain_nothing, warn_of_counters, warn_of_faces
from rfe.data.faults import Faults
from rfe.data.features import feature_file
from rfe.data.metadata import clip_key
from rfe.data.parts import ClipPart, Files, Header, PartSummary, find_part, make_part, read_rows, split_clips
from rfe.data.reading import Reading
from rfe.data.series import SERIES_SUFFIXES
from rfe.errors import DataError
from rfe.progress import Progress, SilentProgress
from rfe.resources import available_cpus
from rfe.writing import write_beside

MOST_WORKERS = 4
"""Processes, unless asked for more: reading soon waits for the disk."""
PARTS_PER_WORKER = 4
"""Fewer do not pay for starting another process."""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal clips give equal files


@dataclass(frozen=True)
class SeriesFiles:
    """One encoder's series files."""

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
    """A feature file that was written, and what was left out."""

    encoder: str
    path: Path
    clips: int
    dim: int
    skipped: dict[str, tuple[str, ...]]
    """Reason -> clips without a row: they will be masked."""
    examples: dict[str, str]
    """Reason -> the file of the first of these clips, and what more is known of it."""
    incomplete_frames: int
    """Frames left out because a channel was missing or not finite."""
    gap: str
    """File, line, column and text of the first such gap of a table; "": none."""
    undetected_frames: int
    """Frames left out because the table says that nothing was found in them (`success` is 0)."""
    columns: tuple[str, ...]
    """[channel] of tables, in the order in which features have them."""
    left_out: tuple[str, ...]
    """Columns that were not asked for, and are known to be no channels."""
    notes: tuple[str, ...]
    """Sentences on channels that are probably no features, and on clips that mix several faces."""
    ignored: tuple[str, ...]
    """Names of stray files and folders."""
    resumed: int
    """Clips that an earlier, interrupted run had completed."""

    @property
    def frames_left_out(self) -> int:
        return self.incomplete_frames + self.undetected_frames

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
    ordered, resumed = _complete_parts(files, all_parts, workers, progress or SilentProgress())
    skipped = {reason: list(names) for reason, names in files.skipped.items()}
    examples: dict[str, str] = {}
    for one in ordered:
        for reason, names in one.skipped.items():
            skipped.setdefault(reason, []).extend(names)
            examples.setdefault(reason, one.examples[reason])
    try:
        if not any(one.names for one in ordered):
            raise DataError(f"{files.encoder}: {explain_nothing(files.reading, skipped, examples, files.ignored)}")
        alignment = align_rows(files.encoder, files.reading, ordered)
    except DataError:
        for part in all_parts:  # of no use to the next run, which will read them in another way
            part.path.unlink(missing_ok=True)
        with suppress(OSError):  # it holds others
            parts.rmdir()
        raise
    kept: list[str] = []
    misfits: dict[str, Header] = {}
    for one in ordered:
        fits = [alignment.order(header) is not None for header in one.headers]
        for name, index in zip(one.names, one.header, strict=True):
            if fits[index]:
                kept.append(name)
            else:
                misfits[name] = one.headers[index]
    for reason, (names, example) in explain_misfits(files.reading, alignment, misfits).items():
        skipped.setdefault(reason, []).extend(names)
        examples.setdefault(reason, example)
    varying = _write_features(path, kept, alignment, list(zip(all_parts, ordered, strict=True)))
    return Aggregation(
        encoder=files.encoder,
        path=path,
        clips=len(kept),
        dim=alignment.dim,
        skipped={reason: tuple(names) for reason, names in skipped.items()},
        examples=examples,
        incomplete_frames=sum(one.incomplete_frames for one in ordered),
        gap=next((one.gap for one in ordered if one.gap), ""),
        undetected_frames=sum(one.undetected_frames for one in ordered),
        columns=tuple(alignment.header.columns),
        left_out=tuple(alignment.header.left_out),
        notes=(*warn_of_counters(alignment, varying), *warn_of_faces(ordered)),
        ignored=files.ignored,
        resumed=resumed,
    )


def list_series(folders: Sequence[Path], encoder: str, faults: Faults) -> SeriesFiles:
    """List the series that folders hold for an encoder, by clip; a duplicate clip is noted.

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
            clip = clip_key(path.stem)
            if not path.is_file() or path.suffix.lower() not in SERIES_SUFFIXES:
                ignored.append(path.name)
            elif clip in clips:
                kind = f"{folder}: a second series of a clip; keep one of each"
                faults.problem(
                    f"{path}: a second series of clip {clip}, beside {clips[clip][0]}; keep one", kind=kind, where=clip
                )
            else:
                clips[clip] = (path,)
    return SeriesFiles(encoder, clips, Reading(), tuple(ignored))


def name_encoder(folder: Path) -> str:
    """`ImageBind_train` -> `imagebind`.

    Examples:
        >>> name_encoder(Path("ImageBind_train"))
        'imagebind'
    """
    return folder.name.removesuffix("_train").removesuffix("_test").lower()


def _complete_parts(
    files: SeriesFiles, parts: Sequence[ClipPart], workers: int | None, progress: Progress
) -> tuple[list[PartSummary], int]:
    """Return each part's summary, in order, and how many clips were already done."""
    progress.start(f"{files.encoder}: clips", sum(len(part.clips) for part in parts))
    found = {part.path: summary for part in parts if (summary := find_part(part)) is not None}
    missing = [part for part in parts if part.path not in found]
    if files.reading.clip_column is None:
        made = _make_parts(missing, workers)
    else:  # one pass over the table makes all
        found = {} if missing else found
        made = make_table_parts(parts) if missing else iter(())
    resumed = done = sum(len(part.clips) for part in parts if part.path in found)
    progress.update(done)
    for part, summary in made:
        found[part.path] = summary
        done += len(part.clips)
        progress.update(done)
    progress.close()
    return [found[part.path] for part in parts], resumed


def _make_parts(parts: Sequence[ClipPart], workers: int | None) -> Iterator[tuple[ClipPart, PartSummary]]:
    """Each part as it is done, in any order."""
    if not parts:
        return
    if workers is None:
        workers = min(MOST_WORKERS, available_cpus(), len(parts) // PARTS_PER_WORKER)
    if workers < 2:
        yield from ((part, make_part(part)) for part in parts)
        return
    import joblib

    # joblib's processes end by themselves when this one was killed, and do not run the caller's script again
    pool = joblib.Parallel(n_jobs=min(workers, len(parts)), return_as="generator_unordered", batch_size=1)
    yield from pool(joblib.delayed(_make_and_tell)(part) for part in parts)


def _make_and_tell(part: ClipPart) -> tuple[ClipPart, PartSummary]:
    return part, make_part(part)


def _write_features(
    path: Path, names: Sequence[str], alignment: Alignment, parts: Sequence[tuple[ClipPart, PartSummary]]
) -> list[int]:
    """Write `X` and `filenames` as `np.savez` does, with one part in memory at a time.

    Returns:
        Those of the channels that are constant within each clip and whose value differs between clips.
    """
    shape = {"descr": "<f4", "fortran_order": False, "shape": (len(names), alignment.dim)}
    constant = alignment.header.constant
    first: NDArray[np.float32] | None = None
    varying: set[int] = set()
    with write_beside(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        with archive.open(zipfile.ZipInfo("X.npy", _EPOCH), "w", force_zip64=True) as file:
            npy_format.write_array_header_1_0(file, shape)
            for part, summary in parts:
                orders = [alignment.order(header) for header in summary.headers]
                for row, index in zip(read_rows(part), summary.header, strict=True):
                    order = orders[index]
                    if order is None:
                        continue
                    row = row[order]
                    file.write(row.astype("<f4").tobytes())
                    means = row[constant]
                    first = means if first is None else first
                    varying.update(np.asarray(constant)[means != first].tolist())
        with archive.open(zipfile.ZipInfo("filenames.npy", _EPOCH), "w") as file:
            npy_format.write_array(file, np.array(names, np.str_), allow_pickle=False)
    return sorted(varying)
