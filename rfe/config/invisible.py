"""Characters that a reader cannot see or cannot tell from a blank: two names that look alike may differ by one."""

import unicodedata

_INVISIBLE = frozenset(("Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Zs"))
"""Unicode categories: control, format (zero-width, byte order mark), private use, half a character, separators."""
_OTHERS = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0\ufe0e\ufe0f")
"""Fillers and selectors, which Unicode counts among letters and marks."""


def invisible_characters(text: str) -> str | None:
    """The invisible characters of `text` in words, plain blanks apart; None if it has none.

    >>> invisible_characters("a clip")
    >>> invisible_characters("clip\\u200b1")
    'U+200B ZERO WIDTH SPACE'
    """
    if text.isascii() and text.isprintable():
        return None
    found = [one for one in dict.fromkeys(text) if one != " " and _is_invisible(one)]
    return ", ".join(f"U+{ord(one):04X} {unicodedata.name(one, '')}".rstrip() for one in found) or None


def without_invisible(text: str) -> str:
    """`text` as a reader sees it: blanks of any kind and number are one plain blank, other invisible ones are gone."""
    blanks = "".join(" " if one.isspace() else one for one in text)
    return " ".join("".join(one for one in blanks if one == " " or not _is_invisible(one)).split())


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE or character in _OTHERS
