"""Messages about an encoder's clips: why some have no features, and which channels are probably not features."""

from collections.abc import Mapping, Sequence

from rfe.data.alignment import Alignment, list_channels, name_width
from rfe.data.columns import list_columns, write_list
from rfe.data.faults import list_names
from rfe.data.parts import Header, PartSummary
from rfe.data.reading import Reading

REASONS_SHOWN = 3
"""Why clips cannot be used, where none can."""
ENOUGH_CLIPS = 5
"""In fewer than this a channel runs up evenly, or is constant, by chance."""


def explain_nothing(
    reading: Reading, skipped: Mapping[str, Sequence[str]], examples: Mapping[str, str], ignored: Sequence[str]
) -> str:
    """Explain why no clip has features, most common reasons first.

    Args:
        reading: how the clips were read.
        skipped: reason -> clips.
        examples: reason -> a file, and what more is known of it.
        ignored: names of files that were not read.
    """
    what = "vector to take" if reading.form == "vector" else "series to make statistics of"
    reasons = sorted(skipped, key=lambda one: -len(skipped[one]))
    told = [
        f"{reason} ({len(skipped[reason])} clip{'s' * (len(skipped[reason]) > 1)}: {list_names(skipped[reason])}"
        + (f"; e.g. {examples[reason]})" if reason in examples else ")")
        for reason in reasons[:REASONS_SHOWN]
    ]
    told += [f"{len(reasons) - REASONS_SHOWN} other reasons"] if len(reasons) > REASONS_SHOWN else []
    told = told or ["expected <filename>.npy or <filename>.csv"]
    if ignored:
        told.append(f"not read: {list_names(ignored)}")
    return f"no clip has a {what}; {'; '.join(told)}"


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
            detail = f"{list_channels(here - there)} in the place of {list_channels(there - here)}"
        else:
            detail = name_width(reading, one.width)
            has = detail if len(widths) == 1 else "another width"  # one reason, however many widths
            reason = f"{has} where most clips have {name_width(reading, usual.width)}"
        reasons.setdefault(reason, ([], f"{clip}: {detail}"))[0].append(clip)
    return reasons


def warn_of_counters(alignment: Alignment, varying: Sequence[int]) -> tuple[str, ...]:
    """Sentences on channels that are probably no features.

    Args:
        alignment: of the rows.
        varying: those of the channels that are constant within each clip and whose value differs between clips.
    """
    header = alignment.header
    if header.judged < ENOUGH_CLIPS:
        return ()
    told = []
    for found, what in (
        (header.steady, "channels that run up or down evenly in every clip, as counters and times do"),
        (varying, "channels that have one value within each clip and another in others, as ids and labels do"),
    ):
        if found:
            names = [header.columns[index] if header.columns else str(index) for index in found]
            cure = f"with without: {write_list(names)} in the mapping"
            if not header.columns:
                cure = "of the arrays"
            told.append(f"{what}: {list_columns(names, 6)}; leave what is no feature out {cure}")
    return tuple(told)


def warn_of_faces(summaries: Sequence[PartSummary]) -> tuple[str, ...]:
    clips = [name for one in summaries for name in one.several_faces]
    if not clips:
        return ()
    return (
        f"frames of several faces (face_id) are taken together in {len(clips)} clip{'s' * (len(clips) > 1)}: "
        f"{list_names(clips)}; keep the actor's frames only",
    )
