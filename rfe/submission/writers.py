"""The forms of a submission behind one protocol; the task says which one is written, read, verified and scored.

Another form is one file with a class, its name in `WRITERS` and in `rfe.task.task.SUBMISSIONS`, and a line in
`tests/contract/test_submissions.py`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rfe.submission.csv_form import CsvSubmission
from rfe.submission.json_form import JsonSubmission
from rfe.task import Task


class SubmissionWriter(Protocol):
    """One form of a submission."""

    @property
    def names(self) -> tuple[str, ...]:
        """The files it writes, the one to hand in last."""

    def write(
        self,
        task: Task,
        folder: Path,
        filenames: Sequence[str],
        states: NDArray[np.int64],
        probabilities: NDArray[np.float64],
        extension: str,
    ) -> tuple[Path, ...]:
        """Write the files of `names` into `folder`; equal answers give equal bytes.

        Args:
            task: whose states are answered.
            folder: holds no such files yet, or older ones.
            filenames: [clip] as the metadata names them.
            states: [clip] answers, none of them -1.
            probabilities: [clip, class] expected share of each class's salience.
            extension: of the clips' recordings, where the form's keys carry it.
        """

    def read(self, task: Task, path: Path) -> tuple[Mapping[str, int | None], list[str]]:
        """Read a file of this form, without trusting it.

        Returns:
            Key -> state, None where the answer is illegal, and a sentence on each kind of illegal answer.

        Raises:
            SubmissionError: the file is absent, unsafe, or of another form.
        """

    def contents(self, path: Path) -> Any:
        """All that a file says, to compare two of `names` that must say the same."""

    def key(self, filename: str, extension: str) -> str:
        """The name of a clip in the file."""


WRITERS: dict[str, SubmissionWriter] = {"blemore": JsonSubmission(), "csv": CsvSubmission()}
"""`Task.submission` -> its form."""


def writer_of(task: Task) -> SubmissionWriter:
    """Return the submission writer for a task.

    Examples:
        >>> from rfe.task import BLEMORE
        >>> type(writer_of(BLEMORE)).__name__, type(writer_of(Task("ab", ("a", "b")))).__name__
        ('JsonSubmission', 'CsvSubmission')
    """
    return WRITERS[task.submission]
