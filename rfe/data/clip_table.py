"""One table of all clips: a column names the clip of each row, and a clip's rows are adjacent."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path, PurePosixPath

from rfe.data.columns import choose_columns, list_columns
from rfe.data.frame_table import Frames, FrameTable, open_frame_table
from rfe.data.metadata import clip_key
from rfe.data.parts import ClipPart, PartSummary, fill_part
from rfe.data.reading import Reading, SeriesError
from rfe.data.series import ClipRow, make_row
from rfe.errors import DataError


def list_table_clips(path: Path, reading: Reading) -> list[str]:
    """The clips that a table has rows of, in its order, by `clip_key`.

    Raises:
        DataError: it cannot be read, has no column `reading.clip_column`, or that column is empty in a row, names a
            clip in two ways, or names it again after other clips.
    """
    found: dict[str, str] = {}
    with _open_clip_table(path, reading) as (table, column):
        Frames(table, reading)  # refuses columns that are not there
        before = None
        for line, cells in table.rows:
            cell = cells[column]
            if cell == before:
                continue
            before, clip = cell, _name_clip(cell)
            if not clip:
                raise DataError(f"{path}, line {line}: {reading.clip_column} is empty; it must name the row's clip")
            if clip in found and found[clip] != cell:
                raise DataError(
                    f"{path}, line {line}: {found[clip]} and {cell} both name clip {clip}; keep one of them"
                )
            if clip in found:
                raise DataError(
                    f"{path}, line {line}: {cell} is there again after rows of other clips; sort the table by "
                    f"{reading.clip_column}"
                )
            found[clip] = cell
    return list(found)


def make_table_parts(parts: Sequence[ClipPart]) -> Iterator[tuple[ClipPart, PartSummary]]:
    """Write the files of an encoder's parts, all of them, in one pass over its tables.

    Raises:
        DataError: a table cannot be read, or changed since its clips were listed.
    """
    rows = _read_rows(parts)
    for part in parts:
        yield part, fill_part(part, rows)


def _read_rows(parts: Sequence[ClipPart]) -> Iterator[ClipRow | SeriesError]:
    """What each clip of the parts comes to, in their order, which is that of the tables."""
    reading = parts[0].reading
    clips = [(name, paths[0]) for part in parts for name, paths in part.clips]
    for path, group in groupby(clips, key=lambda one: one[1]):
        wanted = iter([name for name, _ in group])
        clip = next(wanted, None)
        with _open_clip_table(path, reading) as (table, column):
            frames = Frames(table, reading)
            for cell, lines in groupby(table.rows, key=lambda one: one[1][column]):
                if clip is None:
                    break
                if _name_clip(cell) == clip:
                    yield _make_row(path, frames, lines, reading)
                    clip = next(wanted, None)
        if clip is not None:
            raise DataError(f"{path}: changed while it was read; import it again")


def _make_row(
    path: Path, frames: Frames, lines: Iterator[tuple[int, list[str]]], reading: Reading
) -> ClipRow | SeriesError:
    frames.clear()
    try:
        for line, cells in lines:
            frames.add(line, cells)
        return make_row(path, frames.finish(), reading)
    except SeriesError as error:
        return error


@contextmanager
def _open_clip_table(path: Path, reading: Reading) -> Iterator[tuple[FrameTable, int]]:
    """The table, and the position of its column of clips."""
    try:
        with open_frame_table(path, reading.header) as table:
            try:
                [column], _ = choose_columns(table.names, [reading.clip_column or ""])
            except (LookupError, ValueError):
                raise DataError(
                    f"{path} has no column {reading.clip_column} (clip_column); it has: {list_columns(table.names, 12)}"
                ) from None
            yield table, column
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table ({error}); save it as UTF-8 CSV") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


def _name_clip(cell: str) -> str:
    """`'audio/p00_c00.wav'` -> `p00_c00`."""
    return clip_key(PurePosixPath(cell.strip().strip("'\"").replace("\\", "/")).name)
