"""How results look: tables under a heading, in a notebook and in a terminal."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from rfe.formatting import format_value

ROWS = 10
"""More rows of a table are counted, not shown; its property has them all."""


class Shown(ABC):
    """A result that shows itself; what it shows, `_tables` names."""

    @abstractmethod
    def _heading(self) -> str:
        """A one-line heading."""

    @abstractmethod
    def _tables(self) -> Mapping[str, pd.DataFrame]:
        """Title -> table, as they are shown; the titles are the properties that have them whole."""

    def _notes(self) -> Sequence[str]:
        """Notes shown below the tables."""
        return ()

    def __repr__(self) -> str:
        parts = [self._heading()]
        for title, table in self._tables().items():
            parts.append(f"{title}\n{table.head(ROWS).map(_cell).to_string()}{_more(table)}")
        return "\n\n".join([*parts, *(["\n".join(self._notes())] if self._notes() else [])])

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{escape(self._heading())}</b></p>"]
        for title, table in self._tables().items():
            shown = table.head(ROWS).map(_cell).to_html(border=0)
            parts.append(f"<p>{escape(title)}</p>{shown}<p>{escape(_more(table))}</p>")
        parts += [f"<p><small>{escape(note)}</small></p>" for note in self._notes()]
        return "<div>" + "".join(parts) + "</div>"


def drop_empty(table: pd.DataFrame) -> pd.DataFrame:
    """Drop columns without any value.

    Examples:
        >>> drop_empty(pd.DataFrame({"score": [0.5], "confirmed": [None]})).columns.tolist()
        ['score']
    """
    empty = [name for name in table.columns if table[name].isna().all() or (table[name] == "").all()]
    return table.drop(columns=empty)


def _cell(value: Any) -> str:
    if not isinstance(value, tuple) and pd.isna(value):
        return ""
    return format_value(value)


def _more(table: pd.DataFrame) -> str:
    return f"\n... {len(table) - ROWS} more rows" if len(table) > ROWS else ""
