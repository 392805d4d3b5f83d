"""What a report is made of, free of how it is shown: sections of paragraphs, tables and figures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, TypeVar

from rfe.formatting import format_value

Part = TypeVar("Part")
Colour = Literal["blue", "orange", "green", "purple", "grey"]


@dataclass(frozen=True)
class Text:
    """A paragraph of plain words."""

    words: str
    kind: Literal["plain", "caveat", "finding"] = "plain"
    """`caveat`: what a reader must know before the numbers; `finding`: what stands out in them."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    decimals: int | None = 3
    """Of its floats; None: four digits that count."""
    signed: bool = False
    """Differences carry their sign."""


@dataclass(frozen=True)
class Table:
    """Rows of plain values: text, numbers, booleans, None where there is nothing."""

    name: str
    """Of its files; unique within the report."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""

    @property
    def numeric(self) -> tuple[bool, ...]:
        """[column] whether it holds numbers only."""
        columns = ([row[index] for row in self.rows if row[index] is not None] for index in range(len(self.columns)))
        return tuple(
            bool(values) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
            for values in columns
        )


@dataclass(frozen=True)
class Line:
    name: str
    x: Sequence[Any]
    """Numbers, or the names of an axis of categories."""
    y: Sequence[float]
    colour: Colour = "blue"
    dash: Literal["solid", "dash", "dot"] = "solid"
    steps: bool = False
    """The value holds until the next point."""
    in_legend: bool = True


@dataclass(frozen=True)
class Points:
    name: str
    x: Sequence[Any]
    """Numbers, or the names of an axis of categories."""
    y: Sequence[Any]
    colour: Colour = "blue"
    symbol: Literal["circle", "diamond", "square", "cross"] = "circle"
    low: Sequence[float] = ()
    """Ends of an interval, one for each point."""
    high: Sequence[float] = ()
    interval_of: Literal["x", "y"] = "x"
    labels: Sequence[str] = ()
    """The text shown when the pointer is over each point."""
    in_legend: bool = True


@dataclass(frozen=True)
class Bars:
    """Horizontal bars."""

    name: str
    labels: Sequence[str]
    """The first stands at the top."""
    values: Sequence[float]
    colour: Colour = "blue"


@dataclass(frozen=True)
class Heat:
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]
    """[row][column]; NaN: nothing there."""
    texts: Sequence[Sequence[str]]
    meaning: str
    """Of the values, for the colour bar."""
    top: float = 1.0
    """Value of the darkest colour; the lightest is 0."""


@dataclass(frozen=True)
class Rule:
    """A straight line through the whole panel, at an x or at a y."""

    name: str
    x: float | None = None
    y: float | None = None


Mark = Line | Points | Bars | Heat | Rule


@dataclass(frozen=True)
class Axis:
    title: str = ""
    log: bool = False
    range: tuple[float, float] | None = None
    whole: bool = False
    """Ticks at whole numbers only."""
    categories: tuple[str, ...] = ()
    """In their order: along x from the left, along y from the top."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Figure:
    """One or more panels that are read together."""

    name: str
    """Of its files; unique within the report."""
    title: str
    alt: str
    """What is seen, for a reader who does not see it."""
    panels: tuple[Panel, ...]
    note: str = ""
    size: Literal["small", "normal", "large"] = "normal"
    """Of a panel on a wide page."""


Block = Text | Table | Figure


@dataclass(frozen=True)
class ReportSection:
    title: str
    blocks: tuple[Block, ...] = ()
    sections: tuple["ReportSection", ...] = ()

    def walk(self) -> Iterator[Block]:
        """Its blocks, then those of the sections within it."""
        yield from self.blocks
        for section in self.sections:
            yield from section.walk()


@dataclass(frozen=True)
class ReportDocument:
    title: str
    lead: tuple[str, ...]
    """First paragraphs: what this is about, and whether it is simulated."""
    headlines: tuple[str, ...]
    """The numbers to remember, each with its name, a sentence each."""
    caveats: tuple[str, ...]
    sections: tuple[ReportSection, ...]
    attached: tuple[Table, ...] = ()
    """Too long to be read here: files only."""
    made: dict[str, str] = field(default_factory=dict)
    """By what, and when: name -> value."""

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(block for block in self._walk() if isinstance(block, Table))

    @property
    def figures(self) -> tuple[Figure, ...]:
        return tuple(block for block in self._walk() if isinstance(block, Figure))

    def _walk(self) -> Iterator[Block]:
        for section in self.sections:
            yield from section.walk()


def change_text(part: Part, change: Callable[[str], str]) -> Part:
    """A panel, or a part of one, with all its text changed; for libraries that take some text for more than it says."""
    changed: Any = part
    if isinstance(part, str):
        changed = change(part)
    elif isinstance(part, list | tuple):
        changed = type(part)(change_text(one, change) for one in part)
    elif is_dataclass(part) and not isinstance(part, type):
        changed = replace(part, **{one.name: change_text(getattr(part, one.name), change) for one in fields(part)})
    return changed  # type: ignore[no-any-return]


def say(value: Any, column: Column | None = None) -> str:
    """A cell for people: decimals of its column, yes and no, lists with commas, nothing for None and NaN."""
    column = column or Column("")
    form = ".4g" if column.decimals is None else f"{'+' if column.signed else ''}z.{column.decimals}f"
    return format_value(value, form)
