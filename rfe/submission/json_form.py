"""BlEmoRE's form: `submission.json`, and `submission.zip` that holds it alone."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.submission.answers import read_answers
from rfe.submission.reading import read_submission
from rfe.submission.submission import JSON_NAME, ZIP_NAME, submission_key, write_submission
from rfe.task import Task


class JsonSubmission:
    """See `rfe.submission.submission`."""

    names = (JSON_NAME, ZIP_NAME)

    def write(
        self,
        task: Task,
        folder: Path,
        filenames: Sequence[str],
        states: NDArray[np.int64],
        probabilities: NDArray[np.float64],
        extension: str,
    ) -> tuple[Path, ...]:
        return write_submission(task, folder, filenames, states, extension)

    def read(self, task: Task, path: Path) -> tuple[Mapping[str, int | None], list[str]]:
        return check_answers(task, read_submission(path))

    def contents(self, path: Path) -> Any:
        return read_submission(path)

    def key(self, filename: str, extension: str) -> str:
        return submission_key(filename, extension)


def check_answers(task: Task, predictions: Mapping[str, Any]) -> tuple[dict[str, int | None], list[str]]:
    """Read every clip's answer.

    Returns:
        Key -> state index, None where the answer is illegal, and a sentence for each kind of fault that names the clips
        which have it.
    """
    return read_answers(predictions, partial(_answer_state, task))


def _answer_state(task: Task, answer: Any) -> int:
    """State of one clip's answer; ValueError with a sentence when illegal."""
    if not isinstance(answer, list):
        raise ValueError(f"the answer must be a list of one or two classes, not a {type(answer).__name__}")
    percents: dict[str, float] = {}
    for part in answer:
        if not isinstance(part, dict) or set(part) != {"emotion", "salience"}:
            raise ValueError('a class is written {"emotion": NAME, "salience": PERCENT}, nothing more or less')
        emotion, salience = part["emotion"], part["salience"]
        if not isinstance(emotion, str) or emotion not in task.classes:
            raise ValueError(f"unknown class {emotion!r}; this task has {', '.join(task.classes)}")
        if isinstance(salience, bool) or not isinstance(salience, int | float) or not 0 <= salience <= 100.5:
            raise ValueError(f"salience must be a number from 0 to 100 (percent), not {str(salience)[:20]!r}")
        if emotion in percents:
            raise ValueError(f"{emotion} is named twice")
        percents[emotion] = salience
    if percents and abs(sum(percents.values()) - 1) < 0.02:
        fractions = " + ".join(f"{value:g}" for value in percents.values())
        raise ValueError(
            f"salience {fractions} is a fraction; write percents (70, not 0.7): as a fraction it scores zero"
        )
    return task.state_index(percents)
