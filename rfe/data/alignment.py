"""Which rows of an encoder fit together, and in which order their channels stand.

Clips of one encoder have the same channels. Tables may have them in another order from clip to clip: they are put in
order by name. A clip with other channels than most is left out, and where most agree on none, nothing is made.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.data.columns import list_columns
from rfe.data.parts import Header, PartSummary
from rfe.data.reading import Reading
from rfe.data.statistics import N_STATISTICS
from rfe.errors import DataError

ENOUGH_CLIPS = 5
"""Fewer than this run up evenly, or stand still, by chance."""


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
        places = [header.columns.index(name) for name in self.header.columns] or range(header.width)
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
        found = "; ".join(f"{_list_names(one)} for {number}" for one, number in sets.most_common(3))
        raise DataError(
            f"{encoder}: clips differ in their columns ({found}); name those that all have with columns: in the mapping"
        )
    [(order, _), *_] = Counter({key[0]: n for key, n in rows.items() if frozenset(key[0]) == names}).most_common(1)
    merged = Header(list(order), width)
    for summary in summaries:
        for one in summary.headers:
            if one.width == width and frozenset(one.columns) == names:
                merged.merge(one, {index: order.index(name) for index, name in enumerate(one.columns)})
    return Alignment(width * (1 if reading.form == "vector" else N_STATISTICS), merged)


def explain_misfits(
    reading: Reading, alignment: Alignment, misfits: Mapping[str, Header]
) -> dict[str, tuple[list[str], str]]:
    """Reason -> (clips, an example) of clips with other channels than most.

    Args:
        reading: how the clips were read.
        alignment: what most have.
        misfits: clip -> its channels.
    """
    usual = alignment.header
    reasons: dict[str, tuple[list[str], str]] = {}
    widths = {one.width for one in misfits.values()} - {usual.width}
    for clip, one in misfits.items():
        if one.width == usual.width:
            here, there = set(one.columns), set(usual.columns)
            reason = "other columns than most clips have"
            detail = f"{_list_names(here - there)} in the place of {_list_names(there - here)}"
        else:
            detail = name_width(reading, one.width)
            has = detail if len(widths) == 1 else "another width"  # one reason, however many widths
            reason = f"{has} where most clips have {name_width(reading, usual.width)}"
        reasons.setdefault(reason, ([], f"{clip}: {detail}"))[0].append(clip)
    return reasons


def _list_names(names: Set[str]) -> str:
    return list_columns(sorted(names), 6) or "channels without names"


def name_width(reading: Reading, width: int) -> str:
    return f"{width} values" if reading.form == "vector" else f"{width} channels"


def warn_of_counters(alignment: Alignment, varying: Sequence[int]) -> tuple[str, ...]:
    """Sentences on channels that are probably no features.

    Args:
        alignment: of the rows.
        varying: those of the channels that stand still within each clip whose value differs between clips.
    """
    header = alignment.header
    if header.judged < ENOUGH_CLIPS:
        return ()
    told = []
    for found, what in (
        (header.steady, "run up or down evenly in every clip, as counters and times do"),
        (varying, "have one value within each clip and differ between clips, as ids and labels do"),
    ):
        if found:
            names = [header.columns[index] if header.columns else str(index) for index in found]
            cure = f"without: [{', '.join(names[:3])}{', ...' * (len(names) > 3)}] in the mapping leaves them out"
            if not header.columns:
                cure = "save the arrays without them"
            told.append(f"channel {list_columns(names, 6)}: {what}; if it is no feature, {cure}")
    return tuple(told)


def _suggest_axis(summaries: Sequence[PartSummary]) -> str:
    """A remedy for arrays [channel, time], which all have as many steps and differ in width."""
    lengths = {length for summary in summaries for length in summary.lengths}
    named = any(header.columns for summary in summaries for header in summary.headers)
    if named or len(lengths) != 1 or lengths == {1}:
        return ""
    return f" All have {lengths.pop()} time steps: if these are the channels, write time_axis: 1 in the mapping"
