"""Sentences on names that are not known, with the closest one that is."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be: equal in its last part, or spelt alike."""
    options = list(known)
    last = name.rsplit(".", 1)[-1]
    same = [option for option in options if option.rsplit(".", 1)[-1] == last]
    if same:
        return difflib.get_close_matches(name, same, 1, 0.0)[0]
    close = difflib.get_close_matches(name, options, 1, 0.6)
    if close:
        return close[0]
    by_last = {option.rsplit(".", 1)[-1]: option for option in options}
    close = difflib.get_close_matches(last, list(by_last), 1, 0.6)
    return by_last[close[0]] if close else None


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """A sentence on an unknown name, with the nearest known one, or all of a short list."""
    options = list(known)
    guess = nearest(name, options)
    if guess is not None:
        return f"unknown {what} {name!r}; did you mean {guess}?"
    if len(options) <= 12:
        return f"unknown {what} {name!r}; known are {', '.join(options) or 'none'}"
    return f"unknown {what} {name!r}"
