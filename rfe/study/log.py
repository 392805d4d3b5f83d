"""Optuna's journal file, written by one process."""

import json
import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend


class StudyLog(JournalFileBackend):  # type: ignore[misc]
    """Optuna's own file and format, readable by its tools, but brought to the disk when `sync` says.

    Optuna locks and syncs the file for every parameter of every trial, which takes ten times as long as to choose
    their values. The study's own lock keeps other writers out, and a trial counts from when `ask` or `tell` returns.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self._path.open("ab") as file:
            file.write("".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode())

    def sync(self) -> None:
        """Return when everything appended is on the disk."""
        with self._path.open("rb") as file:
            os.fsync(file.fileno())


def mend_log(path: Path) -> None:
    """Remove the half line that a writer killed in the middle of one leaves; only the holder of the study's lock may.

    Optuna reads up to it, but never again past it once something was appended.
    """
    if not path.is_file():
        return
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            file.truncate(whole)
