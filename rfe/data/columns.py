"""Which columns of a table are channels: what users choose by name, pattern or range, and the known names of others.

A column that numbers, times or names a frame, or that holds its label, carries the clip's length, the person or the
answer into the features. Such columns are left out unless they are asked for by name.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate

from rfe.data.known_names import is_no_channel, normalize_name
from rfe.data.metadata import COLUMNS
from rfe.suggestions import nearest

_OURS = frozenset(map(normalize_name, COLUMNS))


def is_ours(name: str) -> bool:
    """Whether a column is one of the metadata's: labels, actors, folds.

    Examples:
        >>> is_ours("emotion_1"), is_ours("AU12")
        (True, False)
    """
    return normalize_name(name) in _OURS


def is_known(name: str) -> bool:
    """Whether a column is known to be no channel: one of the metadata's, or of `rfe.data.known_names`.

    Examples:
        >>> is_known("timestamp"), is_known("AU12")
        (True, False)
    """
    return is_ours(name) or is_no_channel(name)


def choose_columns(
    names: Sequence[str], columns: Sequence[str] = (), without: Sequence[str] = ()
) -> tuple[list[int], list[int]]:
    """Positions of the columns that are channels, and of those that were passed over as they are known to be none.

    Each of `columns` is a name, a pattern (`F0*`; `*` and `?` match anything) or a range in the table's order
    (`mfcc_0:mfcc_12`). Capital letters count only where names differ in nothing else. Patterns and ranges pass over
    columns that are known to be no channel; a name takes any.

    Args:
        names: [column] the table's header.
        columns: what to take, in this order; none: all that are not known to be something else.
        without: what to leave out, in the same form.

    Raises:
        LookupError: with a sentence, for what is not in the table.

    >>> choose_columns(["frame", "au1", "au2", "gaze"], ["gaze", "au*"])
    ([3, 1, 2], [])
    >>> choose_columns(["frame", "au1", "au2", "gaze"], without=["au1:au2"])
    ([3], [0])
    """
    taken: dict[int, None] = {}
    passed: dict[int, None] = {}
    for found, by_name in (_find(text, names) for text in columns) if columns else [(list(range(len(names))), False)]:
        for one in found:
            (passed if is_known(names[one]) and not by_name else taken)[one] = None
    removed = {one for text in without for one in _find(text, names)[0]}
    return [one for one in taken if one not in removed], [one for one in passed if one not in {*taken, *removed}]


def _find(text: str, names: Sequence[str]) -> tuple[list[int], bool]:
    """(positions, whether `text` is one column's name)."""
    if (one := _position(text, names)) is not None:
        return [one], True
    if "*" in text or "?" in text:
        # brackets are part of names, as in mfcc_sma[1], and match themselves
        pattern = translate(re.sub(r"\[", "[[]", text))
        for flags in (0, re.IGNORECASE):
            if found := [index for index, name in enumerate(names) if re.fullmatch(pattern, name, flags)]:
                return found, False
        raise LookupError(f"no column fits {text}")
    for place in (match.start() for match in re.finditer(":", text)):
        ends = _position(text[:place].strip(), names), _position(text[place + 1 :].strip(), names)
        if ends[0] is not None and ends[1] is not None:
            if ends[0] > ends[1]:
                raise LookupError(f"the range {text} ends before it begins; the columns are in the other order")
            return list(range(ends[0], ends[1] + 1)), False
    parts = [part.strip() for part in text.split(":")] if text.count(":") == 1 else [text]
    lacking = [part for part in parts if _position(part, names) is None] or [text]
    guess = nearest(lacking[0], names)
    raise LookupError(f"no column {', '.join(lacking)}" + (f"; did you mean {guess}?" if guess else ""))


def _position(text: str, names: Sequence[str]) -> int | None:
    """Where a column is; OpenFace has both `x_0` and `X_0`, so spelling is passed over only where nothing else fits."""
    for change in (str, str.casefold, normalize_name):
        alike = [index for index, name in enumerate(names) if change(name) == change(text)]
        if len(alike) > 1:
            raise LookupError(f"{len(alike)} columns are called {text}")
        if alike:
            return alike[0]
    return None


def list_columns(names: Iterable[str], shown: int = 100) -> str:
    """Names in a sentence; runs of numbered ones as `x_0 to x_67`.

    >>> list_columns(["gaze", "x_0", "x_1", "x_2", "y_0"])
    'gaze, x_0 to x_2, y_0'
    """
    runs: list[list[str]] = []
    for name in names:
        if runs and _follows(name, runs[-1][-1]):
            runs[-1].append(name)
        else:
            runs.append([name])
    words = [word for run in runs for word in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else run)]
    rest = len(words) - shown
    return ", ".join(word or "(without a name)" for word in words[:shown]) + (f" and {rest} more" if rest > 0 else "")


def write_list(names: Sequence[str], shown: int = 3) -> str:
    """Names as a list of a mapping file, whose bare `0`, `no` and `a: b` would not be text.

    >>> write_list(["a", "0", "x y"])
    "[a, '0', 'x y']"
    """
    plain = re.compile(r"(?!(yes|no|on|off|true|false|null|y|n)$)[a-z_]\w*", re.ASCII | re.IGNORECASE)
    words = [name if plain.fullmatch(name) else "'" + name.replace("'", "''") + "'" for name in names[:shown]]
    return f"[{', '.join(words)}{', ...' * (len(names) > shown)}]"


def _follows(name: str, before: str) -> bool:
    """Whether two names differ in one number only, which is greater by one."""
    here, there = re.split(r"(\d+)", name), re.split(r"(\d+)", before)
    if len(here) != len(there):
        return False
    changed = [index for index, (a, b) in enumerate(zip(here, there, strict=True)) if a != b]
    return len(changed) == 1 and changed[0] % 2 == 1 and int(here[changed[0]]) == int(there[changed[0]]) + 1
