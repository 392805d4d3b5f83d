"""Parts: features of a few clips in one file, named by a hash of its inputs, so that an interrupted import can resume.

A part appears whole or not at all. When a clip's file, or how it is read, is another one, so is the part's name;
what lies under a name is therefore never stale.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.arrays import UNREADABLE_ARRAY
from rfe.data.reading import Reading, SeriesError
from rfe.data.series import SHORTEST, ClipRow, read_row
from rfe.writing import write_beside

CLIPS_PER_PART = 32
"""About a second of work: what is lost when an import is killed."""
_VERSION = 2
"""Of what is computed; a change makes parts of other versions unknown."""

Files = tuple[Path, ...]


@dataclass(frozen=True)
class ClipPart:
    """A few clips of one encoder."""

    path: Path
    """Where its features are, once they are made."""
    clips: tuple[tuple[str, Files], ...]
    """(clip, its file or the pieces of its series)."""
    reading: Reading


@dataclass
class Header:
    """The channels of a series, and what is known of all clips that have the same ones in the same order."""

    columns: list[str]
    """[channel] names, of a table; none of an array."""
    width: int
    """How many channels."""
    left_out: list[str] = field(default_factory=list)
    """Columns that were left out as they are known to be no channels."""
    judged: int = 0
    """Clips that are long enough to tell the following."""
    steady: list[int] = field(default_factory=list)
    """Channels that run evenly in each of them."""
    constant: list[int] = field(default_factory=list)
    """Channels that have one value in each of them."""

    def take(self, row: ClipRow) -> None:
        """Keep what holds of this clip, too."""
        enough = len(row.series.values) - row.incomplete >= SHORTEST
        self.merge(Header([], 0, list(row.series.left_out), int(enough), sorted(row.steady), sorted(row.constant)), {})

    def merge(self, other: "Header", places: Mapping[int, int]) -> None:
        """Keep what holds of the other's clips, too; `places`: its channels' positions here, where they differ."""
        self.left_out += [name for name in other.left_out if name not in self.left_out]
        if not other.judged:
            return
        steady, constant = ({places.get(one, one) for one in found} for found in (other.steady, other.constant))
        self.steady = sorted(steady.intersection(self.steady) if self.judged else steady)
        self.constant = sorted(constant.intersection(self.constant) if self.judged else constant)
        self.judged += other.judged


@dataclass
class PartSummary:
    """The summary of a part: clips with features, and clips skipped."""

    names: list[str] = field(default_factory=list)
    """[row] clips that have features."""
    dims: list[int] = field(default_factory=list)
    """[row] how many features; clips may differ."""
    lengths: list[int] = field(default_factory=list)
    """[row] frames of the clip's series."""
    header: list[int] = field(default_factory=list)
    """[row] index into `headers`."""
    headers: list[Header] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> clips without features."""
    examples: dict[str, str] = field(default_factory=dict)
    """Reason -> file, and what more is known of it, of the first of these clips."""
    incomplete_frames: int = 0
    undetected_frames: int = 0
    several_faces: list[str] = field(default_factory=list)
    """Clips whose frames are of more than one face."""
    gap: str = ""
    """File, line, column and text of the first gap of a table."""

    def take(self, name: str, row: ClipRow) -> None:
        """Count a clip that has features."""
        columns, width = list(row.series.columns), row.series.values.shape[1]
        found = [index for index, one in enumerate(self.headers) if (one.columns, one.width) == (columns, width)]
        if not found:
            found = [len(self.headers)]
            self.headers.append(Header(columns, width))
        self.headers[found[0]].take(row)
        self.names.append(name)
        self.dims.append(len(row.values))
        self.lengths.append(len(row.series.values))
        self.header.append(found[0])
        self.incomplete_frames += row.incomplete
        self.undetected_frames += row.series.undetected
        self.several_faces += [name] if row.series.faces > 1 else []
        self.gap = self.gap or row.series.gap

    def skip(self, name: str, error: SeriesError) -> None:
        """Count a clip that cannot be used."""
        self.skipped.setdefault(error.reason, []).append(name)
        self.examples.setdefault(error.reason, error.example)


def split_clips(clips: Mapping[str, Files], reading: Reading, folder: Path) -> list[ClipPart]:
    """The parts, in order, that hold all `clips`; their files will be in `folder`."""
    items = list(clips.items())
    groups = [tuple(items[start : start + CLIPS_PER_PART]) for start in range(0, len(items), CLIPS_PER_PART)]
    return [ClipPart(folder / f"{_name_part(group, reading)}.npz", group, reading) for group in groups]


def make_part(part: ClipPart) -> PartSummary:
    """Read a part's clips one after the other and write its file."""
    return fill_part(part, (_read(paths, part.reading) for _, paths in part.clips))


def fill_part(part: ClipPart, rows: Iterable[ClipRow | SeriesError]) -> PartSummary:
    """Write a part's file from the features of its clips."""
    summary = PartSummary()
    values: list[NDArray[np.float32]] = []
    for (name, _), row in zip(part.clips, rows, strict=False):  # the table's next rows are the next part's clips
        if isinstance(row, SeriesError):
            summary.skip(name, row)
        else:
            summary.take(name, row)
            values.append(row.values)
    with write_beside(part.path) as beside:
        np.savez(
            beside,
            values=np.concatenate(values, dtype=np.float32) if values else np.zeros(0, np.float32),
            summary=np.array(json.dumps(asdict(summary))),
        )
    return summary


def _read(paths: Files, reading: Reading) -> ClipRow | SeriesError:
    try:
        return read_row(paths, reading)
    except SeriesError as error:
        return error


def find_part(part: ClipPart) -> PartSummary | None:
    """Read a part's summary, if its file exists and is complete."""
    try:
        return _load(part.path)[1]
    except FileNotFoundError:
        return None
    except (*UNREADABLE_ARRAY, KeyError, zipfile.BadZipFile):
        part.path.unlink(missing_ok=True)
        return None


def read_rows(part: ClipPart) -> list[NDArray[np.float32]]:
    """[row] each [dim], in the order of the summary's names."""
    values, summary = _load(part.path)
    return np.split(values, np.cumsum(summary.dims)[:-1]) if summary.dims else []


def _load(path: Path) -> tuple[NDArray[np.float32], PartSummary]:
    with np.load(path, allow_pickle=False) as content:
        values, told = content["values"], json.loads(str(content["summary"]))
    try:
        summary = PartSummary(**{**told, "headers": [Header(**one) for one in told["headers"]]})
    except TypeError as error:
        raise ValueError(f"no summary of a part ({error})") from None
    whole = {len(summary.names), len(summary.lengths), len(summary.header)} == {len(summary.dims)}
    if values.dtype != np.float32 or len(values) != sum(summary.dims) or not whole:
        raise ValueError("values and summary do not agree")
    return values, summary


def _name_part(clips: Sequence[tuple[str, Files]], reading: Reading) -> str:
    content: list[Any] = [
        _VERSION,
        asdict(reading),
        [[name, [_stamp(path) for path in paths]] for name, paths in clips],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def _stamp(path: Path) -> list[Any]:
    try:
        status = path.stat()
    except OSError:  # gone since it was listed: reading it says so
        return [str(path.absolute())]
    return [str(path.absolute()), status.st_size, status.st_mtime_ns]
