"""Aligns an encoder's rows: the channels that most clips have, and their order.

Clips of one encoder have the same channels. Tables may have them in another order from clip to clip: they are put in
order by name. A clip with other channels than most is left out, and where most agree on none, nothing is made.
"""

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.data.columns import list_columns
from rfe.data.parts import Header, PartSummary
from rfe.data.reading import Reading
from rfe.data.statistics import N_STATISTICS
from rfe.errors import DataError


@dataclass(frozen=True)
class Alignment:
    """The channels that an encoder's rows have."""

    dim: int
    """Features of each row."""
    header: Header
    """The channels in their order, and what holds of all rows."""

    def order(self, header: Header) -> NDArray[np.intp] | None:
        """[feature] where a row with these channels has it; None: it has other channels."""
        if header.width != self.header.width or set(header.columns) != set(self.header.columns):
            return None
        place = {name: index for index, name in enumerate(header.columns)}
        places = [place[name] for name in self.header.columns] or range(header.width)
        channels = np.fromiter(places, np.intp)
        statistics = np.arange(self.dim // header.width)[:, np.newaxis]
        return (statistics * header.width + channels).ravel()


def align_rows(encoder: str, reading: Reading, summaries: Sequence[PartSummary]) -> Alignment:
    """The channels that most of an encoder's clips have, of which there must be one.

    Raises:
        DataError: there are none that most of them have.
    """
    rows: Counter[tuple[tuple[str, ...], int]] = Counter()
    for summary in summaries:
        for index in summary.header:
            rows[tuple(summary.headers[index].columns), summary.headers[index].width] += 1
    widths: Counter[int] = Counter()
    for (_, width), count in rows.items():
        widths[width] += count
    [(width, count), *_] = widths.most_common(1)
    if 2 * count <= rows.total():
        found = ", ".join(f"{name_width(reading, one)} for {number}" for one, number in widths.most_common(5))
        remedy = _suggest_axis(summaries)
        raise DataError(f"{encoder}: clips differ in width ({found}); are these files of one encoder?{remedy}")
    sets: Counter[frozenset[str]] = Counter()
    for (columns, other), count in rows.items():
        if other == width:
            sets[frozenset(columns)] += count
    [(names, count), *_] = sets.most_common(1)
    if 2 * count <= sets.total():
        found = "; ".join(f"{list_channels(one)} for {number}" for one, number in sets.most_common(3))
        raise DataError(
            f"{encoder}: clips differ in their columns ({found}); name those that all have with columns: in the mapping"
        )
    [(order, _), *_] = Counter({key[0]: n for key, n in rows.items() if frozenset(key[0]) == names}).most_common(1)
    merged = Header(list(order), width)
    place = {name: index for index, name in enumerate(order)}
    for summary in summaries:
        for one in summary.headers:
            if one.width == width and frozenset(one.columns) == names:
                merged.merge(one, {index: place[name] for index, name in enumerate(one.columns)})
    return Alignment(width * (1 if reading.form == "vector" else N_STATISTICS), merged)


def list_channels(names: Set[str]) -> str:
    return list_columns(sorted(names), 6) or "channels without names"


def name_width(reading: Reading, width: int) -> str:
    return f"{width} values" if reading.form == "vector" else f"{width} channels"


def _suggest_axis(summaries: Sequence[PartSummary]) -> str:
    """A remedy for arrays [channel, time], which all have as many steps and differ in width."""
    lengths = {length for summary in summaries for length in summary.lengths}
    named = any(header.columns for summary in summaries for header in summary.headers)
    if named or len(lengths) != 1 or lengths == {1}:
        return ""
    return f" All have {lengths.pop()} time steps: if these are the channels, write time_axis: 1 in the mapping"
