"""Validates a submission in any form; each fault gets its own sentence."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from rfe.data.faults import list_names
from rfe.errors import SubmissionError, gather
from rfe.submission.submission import VIDEO_EXTENSION
from rfe.submission.writers import SubmissionWriter, writer_of
from rfe.task import Task


def verify_submission(
    task: Task, path: Path, target_filenames: Iterable[str] | None = None, extension: str = VIDEO_EXTENSION
) -> int:
    """Check a submission in the task's form.

    Args:
        task: says form and labels.
        path: the file.
        target_filenames: the clips that need an answer, as the metadata names them; None checks the form only.
        extension: as in `submission.submission_key`.

    Returns:
        Number of clips answered.

    Raises:
        SubmissionError: with every fault found.
    """
    writer = writer_of(task)
    answers, faults = writer.read(task, path)
    problems = [] if target_filenames is None else _key_problems(writer, answers, list(target_filenames), extension)
    if not answers:
        problems.append("answers no clip")
    gather(problems + faults, SubmissionError, str(path))
    return len(answers)


def _key_problems(
    writer: SubmissionWriter, predictions: Mapping[str, int | None], filenames: list[str], extension: str
) -> list[str]:
    """Target clips without an answer and answers without a target clip."""
    wanted = {writer.key(name, extension): name for name in filenames}
    missing = [key for key in wanted if key not in predictions]
    unknown = [key for key in predictions if key not in wanted]
    bare = {key: writer.key(key, extension) for key in unknown if writer.key(key, extension) in wanted}
    problems = []
    if bare:
        first, full = next(iter(bare.items()))
        problems.append(f"{list_names(list(bare))}: the key lacks the video's extension; write {full!r}, not {first!r}")
        missing = [key for key in missing if key not in bare.values()]
        unknown = [key for key in unknown if key not in bare]
    if missing:
        problems.append(f"{list_names(missing)}: no answer ({len(missing)} of {len(wanted)} target clips)")
    if unknown:
        problems.append(f"{list_names(unknown)}: not a target clip of this data; remove it")
    return problems
