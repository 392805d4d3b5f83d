"""Names that look alike and are not equal: `Clip1` and `clip1`, `01` and `1`, composed and decomposed letters."""

import re
import unicodedata
from collections.abc import Callable, Iterable

from rfe.config.invisible import without_invisible
from rfe.data.faults import list_names

_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_CHANGES: dict[str, Callable[[str], str]] = {
    "blanks or invisible characters": without_invisible,
    "Unicode form": lambda name: unicodedata.normalize("NFKC", name),
    "capital letters": str.casefold,
    "leading zeros": lambda name: _ZEROS.sub("", name),
}
"""What may differ in names that look alike -> what removes the difference."""


def look_of(name: str) -> str:
    """What names that look alike have in common.

    >>> look_of("Clip_007 ") == look_of("clip_7")
    True
    """
    for change in _CHANGES.values():
        name = change(name)
    return name


def describe_difference(one: str, other: str) -> str:
    """In what two names that look alike differ.

    >>> describe_difference("Clip_007", "clip_7")
    'capital letters and leading zeros'
    """
    for words, change in _CHANGES.items():
        if change(one) == change(other):
            return words
    differing = [words for words in _CHANGES if _without(words, one) != _without(words, other)]
    return " and ".join(differing) or "spelling"


def find_lookalikes(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of different names that look alike: each name with the first that looks as it does."""
    first: dict[str, str] = {}
    pairs = []
    for name in dict.fromkeys(names):
        other = first.setdefault(look_of(name), name)
        if other != name:
            pairs.append((other, name))
    return pairs


def list_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """`"'Clip1' and 'clip1' (capital letters), ... and 3 more"`."""
    return list_names([_describe_pair(one, other) for one, other in pairs])


def _describe_pair(one: str, other: str) -> str:
    difference = describe_difference(one, other)
    if "blanks" in difference or "Unicode" in difference:  # which would look alike in the message, too
        return f"{one!a} and {other!a} ({difference})"
    return f"{one!r} and {other!r} ({difference})"


def _without(words: str, name: str) -> str:
    """A name with every difference removed but that which `words` name."""
    for other, change in _CHANGES.items():
        if other != words:
            name = change(name)
    return name
