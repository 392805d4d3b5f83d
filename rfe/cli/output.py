"""How results are printed: tables for people, JSON for programs."""

import json
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rfe.formatting import SIGNED, format_bounds, format_value

if TYPE_CHECKING:
    from rfe.metrics.intervals import Interval

WIDTH_WITHOUT_TERMINAL = 160
"""A pipe or a file has no width; a table is not cut for it."""


def open_console() -> Console:
    """Standard output as it is at this moment."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH_WITHOUT_TERMINAL)


def print_json(value: Any) -> None:
    """`value`, also a dataclass, as JSON; what is not a number is null."""
    from rfe.journal.records import as_json

    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    sys.stdout.write(json.dumps(as_json(value), indent=2, ensure_ascii=False) + "\n")


def print_lines(*lines: str) -> None:
    """Print plain lines, without markup and without truncation."""
    console = open_console()
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def print_heading(line: str) -> None:
    """A line that opens a part of the output."""
    open_console().print(Text(line, style="bold"), soft_wrap=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; numbers are right-aligned."""
    rows = [list(row) for row in rows]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        numbers = rows and all(isinstance(row[index], int | float | None) for row in rows)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(format_value(value)) for value in row))
    open_console().print(table)


def short_path(path: Path | str) -> str:
    """`path` for display: relative if it is below the current folder."""
    absolute = Path(path).absolute()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute)


def typed_path(path: Path | str) -> str:
    """`short_path`, quoted for a shell."""
    return shlex.quote(short_path(path))


def print_settings(settings: Mapping[str, Any]) -> None:
    """Name and value, one to a line."""
    width = max(map(len, settings), default=0)
    print_lines(*(f"  {name:<{width}}  {format_value(value)}" for name, value in settings.items()))


def space_rows(space: Mapping[str, str]) -> list[tuple[str, str]]:
    """Parameter and range; the pool's one parameter for each encoder make one row."""
    pool = [name.removeprefix("pool.") for name in space if name.startswith("pool.")]
    rows = [(name, values) for name, values in space.items() if not name.startswith("pool.")]
    return ([("pool", f"any of {', '.join(pool)}")] if pool else []) + rows


def show_bounds(interval: "Interval") -> str:
    """`low to high`; those of a difference carry their sign."""
    return format_bounds(*interval.bounds(), SIGNED if interval.paired else ".3f")
