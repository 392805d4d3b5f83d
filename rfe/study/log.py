"""Optuna's journal file, written by one process."""

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState

from rfe.writing import write_bytes

RECORD = "record"
"""Attribute of a trial that was told: what it was told with."""
_CREATE = JournalOperation.CREATE_TRIAL.value
_SET_STATE = JournalOperation.SET_TRIAL_STATE_VALUES.value
_OF_AN_END = ("value", "values", "datetime_complete")
"""Fields of a trial that was created with its end."""
_SET_ATTRIBUTE = JournalOperation.SET_TRIAL_USER_ATTR.value


class StudyLog(JournalFileBackend):  # type: ignore[misc]
    """Optuna's own file and format, readable by its tools, but brought to the disk when `sync` says.

    Optuna locks and syncs the file for every parameter of every trial, which takes ten times as long as to choose
    their values. The study's own lock keeps other writers out, and a trial counts from when `ask` or `tell` returns.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._held: list[str] | None = None
        self._n_written = 0

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What is appended within reaches the file at the end, in one piece: of a process that is killed within, as if
        nothing had been asked."""
        known = next(reversed(self._log_number_offset))  # they are kept in order
        self._n_written = known + sum(1 for _ in super().read_logs(known))
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            self._write(held)
            # they are known already; whoever reads on begins after them, and not at the file's first line
            lengths = accumulate(map(len, held), initial=self._log_number_offset[self._n_written])
            self._log_number_offset |= dict(enumerate(lengths, start=self._n_written))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        if self._held is None:
            self._write(lines)
        else:
            self._held += lines

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        # the file's own reader begins at its first line where it is asked for what comes after its last
        if self._held is None or log_number_from < self._n_written:
            yield from super().read_logs(log_number_from)
        if self._held:
            yield from map(json.loads, self._held[max(0, log_number_from - self._n_written) :])

    def _write(self, lines: list[str]) -> None:
        with self._path.open("ab") as file:
            file.write("".join(lines).encode())

    def sync(self) -> None:
        """Return when everything appended is on the disk."""
        with self._path.open("rb") as file:
            os.fsync(file.fileno())


@dataclass(frozen=True)
class Damage:
    """The first line of a log that is no operation."""

    line: int
    """From 1."""
    offset: int
    """Bytes before it."""
    reason: str


def find_damage(path: Path) -> Damage | None:
    """The first damaged line, if any; half a line at the end, of a process that was killed, is none."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return None
            try:
                json.loads(line)["op_code"]
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                reason = "holds NUL bytes" if b"\0" in line else f"is no operation: {type(error).__name__}"
                return Damage(number, offset, reason)
            offset += len(line)
    return None


def reopen_trials(path: Path, keep: Collection[int]) -> list[int]:
    """Take back the ends of trials that were told as trained, but for those in `keep`; only the holder of the study's
    lock may. They are `running` then, and whoever goes on with the study trains them again under the same numbers.

    Returns:
        The trials' numbers.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    operations = [json.loads(line) for line in lines]
    # in a log with one study an id is a number
    told = {one["trial_id"] for one in operations if one["op_code"] == _SET_ATTRIBUTE and RECORD in one["user_attr"]}
    created = [index for index, one in enumerate(operations) if one["op_code"] == _CREATE]
    told |= {number for number, index in enumerate(created) if RECORD in operations[index].get("user_attrs", {})}
    lost = told - set(keep)
    reopened: set[int] = set()
    for index, one in enumerate(operations):
        if one["op_code"] == _SET_STATE and one["trial_id"] in lost and TrialState(one["state"]).is_finished():
            lines[index] = b""
            reopened.add(one["trial_id"])
    for number in lost:
        one = operations[created[number]]
        if TrialState(one.get("state", TrialState.RUNNING)).is_finished():  # of a log that was rebuilt
            left = {name: value for name, value in one.items() if name not in _OF_AN_END}
            lines[created[number]] = json.dumps({**left, "state": TrialState.RUNNING}, separators=(",", ":")).encode()
            lines[created[number]] += b"\n"
            reopened.add(number)
    if reopened:
        write_bytes(path, b"".join(lines))
    return sorted(reopened)
