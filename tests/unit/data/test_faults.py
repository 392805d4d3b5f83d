import pytest

from rfe.data.faults import Faults, list_names
from rfe.errors import DataError


def test_a_sentence_stands_once_with_the_clips_it_concerns() -> None:
    faults = Faults()
    for clip in "abcde":
        faults.problem("fold: 'x' is not a number", clip)
    faults.problem("no metadata")
    faults.warn("stray", "f")
    assert faults.problems == ["fold: 'x' is not a number (5 clips: a, b, c and 2 more)", "no metadata"]
    assert faults.warnings == ["stray (1 clip: f)"]
    with pytest.raises(DataError, match=r"folder: 2 problems\n  - fold"):
        faults.refuse("folder")


def test_warnings_refuse_nothing() -> None:
    faults = Faults()
    faults.warn("stray")
    faults.refuse("folder")
    assert faults.problems == []


def test_lists_a_few_names() -> None:
    assert list_names(["a", "b"]) == "a, b"
    assert list_names(list("abcdefg")) == "a, b, c and 4 more"
