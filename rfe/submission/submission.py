"""BlEmoRE's submission: `{"predictions": {"test_0001.mov": [{"emotion": ..., "salience": percent}]}}` in a zip.

File names: the answer's keys carry the video's extension (`test_0001.mov`) while metadata names have none
(`test_0001`). The rule: a key is the metadata's name; where that has no extension of a recording, `extension` is
appended. `extension=""` leaves names as they are.
"""

import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rfe.data.metadata import clip_key
from rfe.errors import SubmissionError
from rfe.task import Task
from rfe.writing import write_beside

VIDEO_EXTENSION = ".mov"
"""Extension of the challenge's clips."""
JSON_NAME = "submission.json"
"""The answer on its own, and the one member of the zip."""
ZIP_NAME = "submission.zip"

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold: equal answers give equal bytes


def submission_key(filename: str, extension: str = VIDEO_EXTENSION) -> str:
    """The submission's key of a clip: `test_0001` -> `test_0001.mov`; a name with an extension is kept.

    Examples:
        >>> submission_key("test_0001"), submission_key("test_0001.mp4")
        ('test_0001.mov', 'test_0001.mp4')
    """
    return filename + extension if clip_key(filename) == filename else filename


def build_submission(
    task: Task, filenames: Sequence[str], states: Iterable[int], extension: str = VIDEO_EXTENSION
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The submission's JSON value.

    Args:
        task: whose states are answered.
        filenames: target clips as the metadata names them.
        states: one index into the task's states a clip.
        extension: appended to names that lack it.

    Raises:
        SubmissionError: two clips have the same key, or names and states differ in number.

    Examples:
        >>> from rfe.task import BLEMORE
        >>> build_submission(BLEMORE, ["test_0001"], [BLEMORE.n_classes])
        {'predictions': {'test_0001.mov': [{'emotion': 'ang', 'salience': 70}, {'emotion': 'disg', 'salience': 30}]}}
    """
    answers = [int(state) for state in states]
    if len(answers) != len(filenames):
        raise SubmissionError(f"{len(filenames)} clips but {len(answers)} answers; one state a clip is needed")
    predictions: dict[str, list[dict[str, Any]]] = {}
    for filename, state in zip(filenames, answers, strict=True):
        key = submission_key(str(filename), extension)
        if key in predictions:
            raise SubmissionError(f"two target clips have the key {key!r}; name clips apart in the metadata")
        predictions[key] = [
            {"emotion": emotion, "salience": percent} for emotion, percent in task.state_percents(state).items()
        ]
    return {"predictions": predictions}


def write_submission(
    task: Task, folder: Path, filenames: Sequence[str], states: Iterable[int], extension: str = VIDEO_EXTENSION
) -> tuple[Path, Path]:
    """Write `submission.json` and `submission.zip` into `folder`; equal answers give equal bytes.

    Returns:
        The two paths.
    """
    text = json.dumps(build_submission(task, filenames, states, extension), indent=1) + "\n"
    json_path, zip_path = folder / JSON_NAME, folder / ZIP_NAME
    with write_beside(json_path) as beside:
        beside.write_text(text, encoding="utf-8")
    with write_beside(zip_path) as beside, zipfile.ZipFile(beside, "w") as archive:
        member = zipfile.ZipInfo(JSON_NAME, date_time=_EPOCH)
        member.external_attr = 0o644 << 16
        archive.writestr(member, text, zipfile.ZIP_DEFLATED)
    return json_path, zip_path
