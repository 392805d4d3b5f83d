"""A journal read while another process writes it: each call reads only what is new, and takes no lock."""

import os

from rfe.errors import StudyError
from rfe.journal.records import Record, parse_record
from rfe.workspace import StudyFolder


class JournalFollower:
    """Reads one study's journal piece by piece.

    Examples:
        >>> from pathlib import Path
        >>> follower = JournalFollower(StudyFolder(Path("rfe-workspace/studies/first")))
        >>> len(follower.read()) > 0  # all records so far
        True
        >>> follower.read()  # only those written since
        []
    """

    def __init__(self, folder: StudyFolder) -> None:
        self._path = folder.journal
        self._offset = 0
        self._file: tuple[int, int] | None = None
        self.generation = 0
        """Grows when the journal is another one (pulled, or cut back): what was read before counts no more."""

    def read(self) -> list[Record]:
        """The records since the last call, oldest first; all of them after the journal became another one. A line that
        is still being written waits for the next call.

        Raises:
            StudyError: a line is damaged.
        """
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return []
        with file:
            stat = os.fstat(file.fileno())
            identity = (stat.st_dev, stat.st_ino)
            if identity != self._file or stat.st_size < self._offset:
                self.generation += self._file is not None
                self._file, self._offset = identity, 0
            records: list[Record] = []
            if stat.st_size == self._offset:
                return records
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    records.append(parse_record(line, f"{self._path}, byte {self._offset}"))
                except StudyError:
                    if not records:
                        raise
                    break  # what came before it is not lost; the next call raises
                self._offset += len(line)
            return records
