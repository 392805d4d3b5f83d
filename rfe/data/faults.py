"""What is wrong with a data folder: every kind of fault once, with the clips it concerns."""

from collections.abc import Sequence

from rfe.errors import DataError, gather

SHOWN = 3
"""How many names a sentence lists before it counts the rest."""


def list_names(names: Sequence[str]) -> str:
    """`"a, b, c and 14 more"`."""
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


class Faults:
    """Problems (they spoil a result, so reading is refused) and warnings (worth knowing), in order of appearance.

    A sentence given for several clips appears once and names the first few of them.

    >>> faults = Faults()
    >>> faults.problem("metadata.csv, fold: 'x' is not a whole number", "clip_1")
    >>> faults.problem("metadata.csv, fold: 'x' is not a whole number", "clip_2")
    >>> faults.problems
    ["metadata.csv, fold: 'x' is not a whole number (2 clips: clip_1, clip_2)"]
    """

    def __init__(self) -> None:
        self._problems: dict[str, list[str]] = {}
        self._warnings: dict[str, list[str]] = {}

    def problem(self, sentence: str, *clips: str) -> None:
        self._problems.setdefault(sentence, []).extend(clips)

    def warn(self, sentence: str, *clips: str) -> None:
        self._warnings.setdefault(sentence, []).extend(clips)

    @property
    def problems(self) -> list[str]:
        return _render(self._problems)

    @property
    def warnings(self) -> list[str]:
        return _render(self._warnings)

    def refuse(self, heading: str) -> None:
        """Raise one `DataError` with all problems under `heading`, or return if there are none."""
        gather(self.problems, DataError, heading)


def _render(found: dict[str, list[str]]) -> list[str]:
    return [
        f"{sentence} ({len(clips)} clip{'s' if len(clips) > 1 else ''}: {list_names(clips)})" if clips else sentence
        for sentence, clips in found.items()
    ]
