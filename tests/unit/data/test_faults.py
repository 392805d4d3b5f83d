import pytest

from rfe.data.faults import Faults, kind_of, list_names
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


def test_faults_that_differ_by_their_values_make_one_sentence() -> None:
    """Each value made a sentence of its own: one for each line of a table."""
    faults = Faults()
    for line in range(2, 122):
        faults.problem(f"metadata.csv, line {line}: 9 fields where the header has 8")
    for clip in range(500):
        faults.problem(f"metadata.csv, emotion_1: unknown emotion 'e{clip % 20}'; known are ang, hap", f"clip{clip}")
    faults.problem("metadata.csv, fold is empty; give a whole number from 0", "clip0")
    assert faults.problems == [
        "metadata.csv, line 2: 9 fields where the header has 8 (and 119 more like this)",
        "metadata.csv, emotion_1: unknown emotion 'e0'; known are ang, hap (500 clips: clip0, clip20, clip40 and 497 "
        "more; 20 different values)",
        "metadata.csv, fold is empty; give a whole number from 0 (1 clip: clip0)",
    ]


def test_faults_of_one_kind_name_their_places() -> None:
    faults = Faults()
    for number in range(6):
        clips = [f"c{clip}" for clip in range(number)]
        faults.warn(f"e{number}.npz has no features", *clips, kind="masked", where=f"e{number}.npz")
    faults.warn("x.npz is a stray file", kind="stray", where="x.npz")
    assert faults.warnings == [
        "e0.npz has no features; also e1.npz (1 clip), e2.npz (2 clips), e3.npz (3 clips) and 2 more",
        "x.npz is a stray file",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.npz is damaged", "b.npz is damaged"),
        ("fold: 'x' is no number", "mix: 'x' is no number"),
        ("clip_1 twice", "clip_2 twice"),
    ],
)
def test_other_kinds_stay_apart(one: str, other: str) -> None:
    assert kind_of(one) != kind_of(other)


def test_warnings_refuse_nothing() -> None:
    faults = Faults()
    faults.warn("stray")
    faults.refuse("folder")
    assert faults.problems == []


def test_lists_a_few_names() -> None:
    assert list_names(["a", "b"]) == "a, b"
    assert list_names(list("abcdefg")) == "a, b, c and 4 more"
