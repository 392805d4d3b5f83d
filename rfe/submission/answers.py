"""Answers of any form of a submission, read one by one: equal faults make one sentence."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from rfe.data.faults import kind_of, list_names

Answer = TypeVar("Answer")


def read_answers(
    answers: Mapping[str, Answer], read: Callable[[Answer], int]
) -> tuple[dict[str, int | None], list[str]]:
    """Read every clip's answer.

    Args:
        answers: key -> the value in the file.
        read: the state that it names; ValueError with a sentence where it is illegal.

    Returns:
        Key -> state, None where illegal, and a sentence for each kind of fault that names the clips which have it.
    """
    states: dict[str, int | None] = {}
    faulty: dict[str, tuple[str, list[str]]] = {}  # 594 faults that differ by their values alone make one line
    for key, answer in answers.items():
        try:
            states[key] = read(answer)
        except ValueError as problem:
            states[key] = None
            faulty.setdefault(kind_of(str(problem)), (str(problem), []))[1].append(key)
    sentences = [f"{list_names(clips)}: {sentence}" for sentence, clips in faulty.values()]
    return states, sentences
