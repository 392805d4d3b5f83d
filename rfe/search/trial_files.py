"""The files that a study's journal names: whether they are there, and whole."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rfe.data.arrays import DAMAGED_ZIP, UNREADABLE_ARRAY
from rfe.journal.events import ConfirmationLog, TrialLog
from rfe.journal.records import read_events
from rfe.workspace import StudyFolder


@dataclass(frozen=True)
class BrokenFile:
    """A file that cannot be used."""

    trial: int
    path: Path
    problem: str
    """`is missing` or `is damaged`, with the reason."""


def find_broken_files(folder: StudyFolder) -> Iterator[BrokenFile]:
    """The files of trials and confirmations, as last recorded, that are missing or cannot be read to their end.

    Weights are none of them: they are kept of the best trials only.
    """
    last: dict[tuple[type, int], TrialLog | ConfirmationLog] = {}
    for event in read_events(folder):
        if isinstance(event, TrialLog | ConfirmationLog):
            last[type(event), event.number] = event
    for log in last.values():
        for path in log.artifacts.values():
            if isinstance(path, Path) and (problem := _problem(path)):
                yield BrokenFile(log.number, path, problem)


def _problem(path: Path) -> str:
    try:
        if path.suffix != ".npz":
            return "" if path.is_file() else "is missing"
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except FileNotFoundError:
        return "is missing"
    except (*UNREADABLE_ARRAY, *DAMAGED_ZIP) as error:
        return f"is damaged ({error})"
    return f"is damaged ({broken})" if broken else ""
