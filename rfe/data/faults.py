"""Collects the faults of a data folder: each kind once, with the clips that it affects."""

import re
from collections.abc import Sequence

from rfe.errors import DataError, gather

SHOWN = 3
"""How many names a sentence lists before it counts the rest."""
_VALUE = re.compile(r"'(?:[^'\\]|\\.)*'|\"[^\"]*\"|(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")
"""Values in a sentence: quoted text, and numbers that are not part of a name."""


def list_names(names: Sequence[str]) -> str:
    """`"a, b, c and 14 more"`."""
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def kind_of(sentence: str) -> str:
    """A sentence without its values: equal for faults that differ by their values alone.

    >>> kind_of("metadata.csv, line 3: 9 fields where the header has 8")
    'metadata.csv, line *: * fields where the header has *'
    """
    return _VALUE.sub("*", sentence)


class Faults:
    """Problems (they invalidate a result, so reading is refused) and warnings, in order of appearance.

    Each kind makes one sentence, however many clips, lines or files it concerns: the first one's, with the first few
    of the clips and the number of the others. Faults of one kind have equal sentences but for their values
    (`kind_of`), or are given the same `kind`.

    >>> faults = Faults()
    >>> faults.problem("metadata.csv, fold: 'x' is not a whole number", "clip_1")
    >>> faults.problem("metadata.csv, fold: 'y' is not a whole number", "clip_2")
    >>> faults.problems
    ["metadata.csv, fold: 'x' is not a whole number (2 clips: clip_1, clip_2; 2 different values)"]
    >>> faults.warn("a.npz: every column is constant", kind="constant", where="a.npz")
    >>> faults.warn("b.npz: every column is constant", kind="constant", where="b.npz")
    >>> faults.warnings
    ['a.npz: every column is constant; also b.npz']
    """

    def __init__(self) -> None:
        self._problems: dict[str, _Kind] = {}
        self._warnings: dict[str, _Kind] = {}

    def problem(self, sentence: str, *clips: str, kind: str | None = None, where: str = "") -> None:
        """Note a problem.

        Args:
            sentence: what is wrong, where, and what to do.
            clips: those that it concerns.
            kind: equal for faults to be told in one sentence; None: those of the same `kind_of(sentence)`.
            where: with `kind`: what names this fault among others of its kind, such as the file.
        """
        self._problems.setdefault(kind or kind_of(sentence), _Kind()).add(sentence, where, clips)

    def warn(self, sentence: str, *clips: str, kind: str | None = None, where: str = "") -> None:
        """Note a warning; arguments as `problem`."""
        self._warnings.setdefault(kind or kind_of(sentence), _Kind()).add(sentence, where, clips)

    @property
    def problems(self) -> list[str]:
        return [kind.render() for kind in self._problems.values()]

    @property
    def warnings(self) -> list[str]:
        return [kind.render() for kind in self._warnings.values()]

    def refuse(self, heading: str) -> None:
        """Raise one `DataError` with all problems under `heading`, or return if there are none."""
        gather(self.problems, DataError, heading)


class _Kind:
    """Faults that make one sentence."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, list[str]]] = {}
        """Sentence -> what names it among the others, and its clips."""

    def add(self, sentence: str, where: str, clips: Sequence[str]) -> None:
        self._found.setdefault(sentence, (where, []))[1].extend(clips)

    def render(self) -> str:
        first, *others = self._found
        if any(where for where, _ in self._found.values()):
            told = [where + (f" ({_count(clips)})" if clips else "") for where, clips in self._found.values()]
            clips = self._found[first][1]
            also = f"; also {list_names(told[1:])}" if others else ""
            return first + (f" ({_count(clips)}: {list_names(clips)})" if clips else "") + also
        clips = [clip for _, some in self._found.values() for clip in some]
        if not clips:
            return first + (f" (and {len(others)} more like this)" if others else "")
        values = f"; {len(self._found)} different values" if others else ""
        return f"{first} ({_count(clips)}: {list_names(clips)}{values})"


def _count(clips: Sequence[str]) -> str:
    return f"{len(clips)} clip{'s' if len(clips) > 1 else ''}"
