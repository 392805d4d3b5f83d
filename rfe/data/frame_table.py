"""Reads tables of numbers as extractors write them: `.csv` with or without a header, one line for each frame (or clip).

Read are UTF-8 and UTF-16; commas, semicolons, tabs, bars or blanks between the fields; and the ways in which programs
write that a value is missing. A cell that is neither a number nor a gap is refused with its line.
"""

import csv
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rfe.data.columns import choose_columns, is_ours, list_columns, write_list
from rfe.data.known_names import is_detection, is_face
from rfe.data.reading import Reading, Series, SeriesError

_SEPARATORS = ";\t,|"
_GAPS = frozenset(
    (
        *("", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "+nan", "nan(ind)", "-nan(ind)", "nan(snan)", "null"),
        *("1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "1.#inf", "-1.#inf", "none", "nil", "nat", "missing", "?", "-"),
        *(".", "--", "#div/0!", "#num!", "#value!", "#null!", "#ref!", "#nv", "undefined"),
    )
)
_NEVER = frozenset(("false", "no"))
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
_SHOWN = 12
_FEW = 3
"""So few columns may be headed 0, 1, ..., or have these values in their first frame."""
NO_CHANNELS = "no header of channel names"


@dataclass(frozen=True)
class FrameTable:
    """An open table."""

    path: Path
    names: tuple[str, ...]
    """[column] as the header has them; "0", "1", ... without a header."""
    rows: Iterator[tuple[int, list[str]]]
    """(line, cells), as many cells as names; blank lines are passed over."""


@contextmanager
def open_frame_table(path: Path, header: bool | None = None) -> Iterator[FrameTable]:
    """A table for reading.

    Args:
        path: the file.
        header: whether its first line names the columns; None: told by whether that is all numbers.

    Raises:
        SeriesError: it is no such table, or it cannot be told whether the first line is a header.
        csv.Error, UnicodeDecodeError, OSError: as the file has it.
    """
    with path.open(encoding=_encoding(path), newline="") as file:
        skipped, first = 0, file.readline()
        separator = ""
        while first and (not first.strip() or first.lower().startswith("sep=")):
            separator = first[4:5] if first.lower().startswith("sep=") else separator
            skipped, first = skipped + 1, file.readline()
        if first.lower().startswith("@relation"):
            raise SeriesError(path, "an ARFF file; save it as CSV")
        separator = separator or _find_separator(first)
        second = file.readline()
        reader = csv.reader(chain([first, second], file), delimiter=separator, strict=True, skipinitialspace=True)
        cells = next(reader, [])
        if separator == " ":
            cells = [cell for cell in cells if cell]
        is_header = _is_header(path, cells, second.split(separator)[0]) if header is None else header
        names = tuple(map(_clean, cells)) if is_header else tuple(map(str, range(len(cells))))
        if is_header and names and names[0].startswith("#"):  # as numpy.savetxt comments its header
            names = (names[0].lstrip("# "), *names[1:])
        if not any(names):
            raise SeriesError(path, NO_CHANNELS)
        lines = iter([] if is_header else [(1 + skipped, cells)])
        yield FrameTable(path, names, chain(lines, _rows(path, reader, len(names), skipped, separator)))


def _rows(path: Path, reader: Any, width: int, skipped: int, separator: str) -> Iterator[tuple[int, list[str]]]:
    for cells in reader:
        if separator == " ":
            cells = [cell for cell in cells if cell]
        if not cells:
            continue
        line = reader.line_num + skipped
        if len(cells) != width:
            detail = f"line {line} has {len(cells)} fields, the header {width}"
            raise SeriesError(path, "a line with more or fewer fields than the header", detail)
        yield line, cells


def read_frames(path: Path, reading: Reading) -> Series:
    """All frames of a table.

    Raises:
        SeriesError, csv.Error, UnicodeDecodeError, OSError: as `open_frame_table`; or a column that is asked for is
            not there, or a cell is no number.
    """
    with open_frame_table(path, reading.header) as table:
        frames = Frames(table, reading)
        for line, cells in table.rows:
            frames.add(line, cells)
        return frames.finish()


class Frames:
    """Frames of one clip that are gathered line by line.

    Args:
        table: of which they come.
        reading: which columns are channels.

    Raises:
        SeriesError: a column that is asked for is not there, none is left, or one is there twice.
    """

    def __init__(self, table: FrameTable, reading: Reading) -> None:
        self._path, names = table.path, table.names
        without = reading.without if reading.clip_column is None else (*reading.without, reading.clip_column)
        try:
            self._channels, passed = choose_columns(names, reading.columns, without)
        except LookupError as error:
            raise SeriesError(table.path, str(error.args[0]), f"it has: {list_columns(names, _SHOWN)}") from None
        self.columns = tuple(names[index] for index in self._channels)
        self.left_out = tuple(names[index] for index in passed)
        if not self.columns:
            free = [name for name in self.left_out if not is_ours(name)]
            raise SeriesError(
                table.path,
                "no column but those that number, time, name, rate or label a frame"
                + ("; name the channels with columns: [...] in the mapping" if free else ", so no channels"),
                f"it has: {list_columns(names, _SHOWN)}",
            )
        if len(set(self.columns)) < len(self.columns):
            twice = next(name for name in self.columns if self.columns.count(name) > 1)
            raise SeriesError(table.path, "a header with the same column twice", twice)
        others = {index: name for index, name in enumerate(names) if index not in self._channels}
        self._rating = next((index for index, name in others.items() if is_detection(name)), None)
        self._face = next((index for index, name in others.items() if is_face(name)), None)
        self.clear()

    def clear(self) -> None:
        """Begin with another clip."""
        self._values: list[list[float]] = []
        self._undetected, self._gap = 0, ""
        self._faces: set[str] = set()

    def add(self, line: int, cells: Sequence[str]) -> None:
        """Take a frame, unless the table says that nothing was found in it.

        Raises:
            SeriesError: a cell is no number.
        """
        if self._rating is not None and _is_zero(cells[self._rating]):
            self._undetected += 1
            return
        if self._face is not None:
            self._faces.add(cells[self._face].strip())
        texts = [cells[index] for index in self._channels]
        try:
            frame = list(map(float, texts))
        except ValueError:
            frame = [self._read_cell(*cell, line) for cell in zip(texts, self.columns, strict=True)]
        if "_" in "".join(texts):  # Python reads the name 01_02 as the number 102
            frame = [self._read_cell(*cell, line) for cell in zip(texts, self.columns, strict=True)]
        if not self._gap and not math.isfinite(sum(frame)):
            for text, name, value in zip(texts, self.columns, frame, strict=True):
                if not math.isfinite(value):
                    self._gap = f"{self._path}, line {line}: {name} is {text.strip()!r}"
                    break
        self._values.append(frame)

    def finish(self) -> Series:
        """What was taken since the start, or since `clear`."""
        with np.errstate(over="ignore"):  # beyond float32 is infinity, which is a gap
            values = np.array(self._values, np.float32).reshape(-1, len(self.columns))
        return Series(values, self.columns, self.left_out, self._undetected, len(self._faces), self._gap)

    def _read_cell(self, text: str, name: str, line: int) -> float:
        text = text.strip().strip("'\"").strip()
        if _is_number(text):
            return float(text)
        if text.lower() in _GAPS:
            return math.nan
        detail = f"line {line}: {name} is {text!r}"
        if _DECIMAL_COMMA.fullmatch(text):
            raise SeriesError(self._path, "decimal commas; save the numbers with decimal points", detail)
        raise SeriesError(
            self._path,
            f"column {name} holds what is no number; leave it out with without: {write_list([name])} in the mapping, "
            "or name the channels with columns: [...]",
            detail,
        )


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(2)
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _find_separator(line: str) -> str:
    """The first separator outside of quotes; blanks if none occurs."""
    bare = re.sub(r'"[^"]*"', "", line)
    for separator in _SEPARATORS:
        if separator in bare:
            return separator
    return " " if len(bare.split()) > 1 and all(map(_is_number, bare.split())) else ","


def _is_header(path: Path, cells: Sequence[str], below: str) -> bool:
    """Whether the first line names the columns.

    Args:
        path: for the message.
        cells: of the first line.
        below: the first cell of the second line.

    Raises:
        SeriesError: it cannot be told.
    """
    texts = [cell.strip() for cell in cells]
    numbers = [float(text) for text in texts if _is_number(text)]
    if not numbers or any(text.lower() not in _GAPS and not _is_number(text) for text in texts):
        return True
    n_blank = next(index for index, text in enumerate(texts) if text)
    counted = texts[n_blank:]
    is_counted = counted == [str(index) for index in range(len(counted))]
    # Tables whose columns have no names begin so, after the blank name of their index. A frame may do so, too, if it
    # is short: a pitch of 0, two probabilities.
    if is_counted and (len(counted) > _FEW or (n_blank and not _may_be_value(below))):
        return True
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    if is_counted or (steps == {1.0} and len(numbers) == len(texts)):
        raise SeriesError(
            path,
            "a first line of numbers that may be names of columns or values; say header: true or header: false "
            "in the mapping",
            ", ".join(texts[:3]) + ", ..." * (len(texts) > 3),
        )
    return False


def _may_be_value(cell: str) -> bool:
    """Whether the first cell below a blank one is not the index of a table's first row: 0, or text."""
    cell = _clean(cell)
    return cell != "0" and (_is_number(cell) or cell.lower() in _GAPS)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _is_zero(text: str) -> bool:
    text = text.strip().strip("'\"").lower()
    if text in _NEVER or text in _GAPS:
        return True
    return _is_number(text) and float(text) == 0


def _clean(name: str) -> str:
    return name.strip().strip("'\"").strip()
