"""The features of a few clips in one file, named by what it was made of: what a broken-off import leaves done.

A part appears whole or not at all. When a clip's file, or how it is read, is another one, so is the part's name;
what lies under a name is therefore never stale.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.arrays import UNREADABLE_ARRAY
from rfe.data.series import Reading, SeriesError, read_row
from rfe.writing import write_beside

CLIPS_PER_PART = 32
"""About a second of work: what is lost when an import is killed."""
_VERSION = 1
"""Of what is computed; a change makes parts of other versions unknown."""

Files = tuple[Path, ...]


@dataclass(frozen=True)
class Part:
    """A few clips of one encoder."""

    path: Path
    """Where its features are, once they are made."""
    clips: tuple[tuple[str, Files], ...]
    """(clip, its file or the pieces of its series)."""
    reading: Reading


@dataclass(frozen=True)
class PartSummary:
    """What became of a part's clips."""

    names: tuple[str, ...]
    """[row] clips that have features."""
    dims: tuple[int, ...]
    """[row] how many features; clips may differ."""
    skipped: dict[str, list[str]]
    """Reason -> clips without features."""
    incomplete_frames: int


def split_clips(clips: Mapping[str, Files], reading: Reading, folder: Path) -> list[Part]:
    """The parts, in order, that hold all `clips`; their files will be in `folder`."""
    items = list(clips.items())
    groups = [tuple(items[start : start + CLIPS_PER_PART]) for start in range(0, len(items), CLIPS_PER_PART)]
    return [Part(folder / f"{_name_part(group, reading)}.npz", group, reading) for group in groups]


def make_part(part: Part) -> PartSummary:
    """Read a part's clips one after the other and write its file."""
    rows: dict[str, NDArray[np.float32]] = {}
    skipped: dict[str, list[str]] = {}
    incomplete_frames = 0
    for name, paths in part.clips:
        try:
            rows[name], incomplete = read_row(paths, part.reading)
        except SeriesError as error:
            skipped.setdefault(error.reason, []).append(name)
        else:
            incomplete_frames += incomplete
    summary = PartSummary(tuple(rows), tuple(map(len, rows.values())), skipped, incomplete_frames)
    with write_beside(part.path) as beside:
        np.savez(
            beside,
            values=np.concatenate(list(rows.values()), dtype=np.float32) if rows else np.zeros(0, np.float32),
            summary=np.array(json.dumps(asdict(summary))),
        )
    return summary


def find_part(part: Part) -> PartSummary | None:
    """What became of a part's clips, if its file is there and whole."""
    try:
        return _load(part.path)[1]
    except FileNotFoundError:
        return None
    except (*UNREADABLE_ARRAY, KeyError, zipfile.BadZipFile):
        part.path.unlink(missing_ok=True)
        return None


def read_rows(part: Part) -> list[NDArray[np.float32]]:
    """[row] each [dim], in the order of the summary's names."""
    values, summary = _load(part.path)
    return np.split(values, np.cumsum(summary.dims)[:-1]) if summary.dims else []


def _load(path: Path) -> tuple[NDArray[np.float32], PartSummary]:
    with np.load(path, allow_pickle=False) as content:
        values, told = content["values"], json.loads(str(content["summary"]))
    summary = PartSummary(tuple(told["names"]), tuple(told["dims"]), told["skipped"], told["incomplete_frames"])
    if values.dtype != np.float32 or len(values) != sum(summary.dims) or len(summary.names) != len(summary.dims):
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
