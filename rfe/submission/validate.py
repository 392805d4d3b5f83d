"""Checking a submission: every fault gets its own sentence, before the challenge's server gives a zero."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rfe.data.faults import kind_of, list_names
from rfe.errors import SubmissionError, gather
from rfe.labels import EMOTIONS, state_index
from rfe.submission.reading import read_submission
from rfe.submission.submission import VIDEO_EXTENSION, submission_key


def verify_submission(
    path: Path, target_filenames: Iterable[str] | None = None, extension: str = VIDEO_EXTENSION
) -> int:
    """Check a submission as the challenge reads it.

    Args:
        path: `.json` or `.zip`.
        target_filenames: the clips that need an answer, as the metadata names them; None checks the form only.
        extension: as in `submission.submission_key`.

    Returns:
        Number of clips answered.

    Raises:
        SubmissionError: with every fault found.
    """
    predictions = read_submission(path)
    problems = [] if target_filenames is None else _key_problems(predictions, list(target_filenames), extension)
    if not predictions:
        problems.append("'predictions' is empty")
    gather(problems + check_answers(predictions)[1], SubmissionError, str(path))
    return len(predictions)


def check_answers(predictions: Mapping[str, Any]) -> tuple[dict[str, int], list[str]]:
    """Read every clip's answer.

    Returns:
        Key -> state index (`labels.STATE_SALIENCE`) of the legal answers, and a sentence for each kind of fault that
        names the clips which have it.
    """
    states: dict[str, int] = {}
    faulty: dict[str, tuple[str, list[str]]] = {}  # 594 faults that differ by their values alone make one line
    for key, answer in predictions.items():
        try:
            states[key] = _answer_state(answer)
        except ValueError as problem:
            faulty.setdefault(kind_of(str(problem)), (str(problem), []))[1].append(key)
    return states, [f"{list_names(clips)}: {sentence}" for sentence, clips in faulty.values()]


def _key_problems(predictions: Mapping[str, Any], filenames: list[str], extension: str) -> list[str]:
    """Target clips without an answer and answers without a target clip."""
    wanted = {submission_key(name, extension): name for name in filenames}
    missing = [key for key in wanted if key not in predictions]
    unknown = [key for key in predictions if key not in wanted]
    bare = {key: submission_key(key, extension) for key in unknown if submission_key(key, extension) in wanted}
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


def _answer_state(answer: Any) -> int:
    """State of one clip's answer; ValueError with a sentence when illegal."""
    if not isinstance(answer, list):
        raise ValueError(f"the answer must be a list of one or two emotions, not a {type(answer).__name__}")
    percents: dict[str, float] = {}
    for part in answer:
        if not isinstance(part, dict) or set(part) != {"emotion", "salience"}:
            raise ValueError('an emotion is written {"emotion": NAME, "salience": PERCENT}, nothing more or less')
        emotion, salience = part["emotion"], part["salience"]
        if not isinstance(emotion, str) or emotion not in EMOTIONS:
            raise ValueError(f"unknown emotion {emotion!r}; known are {', '.join(EMOTIONS)}")
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
    return state_index(percents)
