"""Answers written are answers read: percents, keys with the video's extension, equal bytes for equal answers."""

import json
import zipfile
from pathlib import Path

import pytest

from rfe.errors import SubmissionError
from rfe.submission.json_form import check_answers
from rfe.submission.reading import read_submission
from rfe.submission.submission import build_submission, submission_key, write_submission
from rfe.submission.validate import verify_submission
from rfe.task import BLEMORE

NAMES = [f"test_{number:04d}" for number in range(BLEMORE.n_states)]


def test_every_state_survives_the_file(tmp_path: Path) -> None:
    for path in write_submission(BLEMORE, tmp_path, NAMES, range(BLEMORE.n_states)):
        assert verify_submission(BLEMORE, path, NAMES) == BLEMORE.n_states
        states, faults = check_answers(BLEMORE, read_submission(path))
        assert faults == []
        assert states == {f"{name}.mov": state for state, name in enumerate(NAMES)}


def test_saliences_are_whole_percents() -> None:
    predictions = build_submission(BLEMORE, NAMES, range(BLEMORE.n_states))["predictions"]
    saliences = {part["salience"] for answer in predictions.values() for part in answer}
    assert saliences == {30, 50, 70, 100}
    assert predictions["test_0006.mov"] == [{"emotion": "ang", "salience": 70}, {"emotion": "disg", "salience": 30}]


def test_the_zip_holds_the_json_and_nothing_else(tmp_path: Path) -> None:
    json_path, zip_path = write_submission(BLEMORE, tmp_path, NAMES[:2], [0, 7])
    with zipfile.ZipFile(zip_path) as archive:
        assert archive.namelist() == ["submission.json"]
        assert archive.read("submission.json") == json_path.read_bytes()
    assert set(json.loads(json_path.read_text())) == {"predictions"}


def test_equal_answers_give_equal_bytes(tmp_path: Path) -> None:
    first = write_submission(BLEMORE, tmp_path / "a", NAMES[:3], [0, 7, 35])
    second = write_submission(BLEMORE, tmp_path / "b", NAMES[:3], [0, 7, 35])
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(
    ("filename", "extension", "key"),
    [
        ("test_0001", ".mov", "test_0001.mov"),
        ("test_0001.mov", ".mov", "test_0001.mov"),
        ("test_0001.MOV", ".mov", "test_0001.MOV"),
        ("clip.v2", ".mov", "clip.v2.mov"),
        ("test_0001", "", "test_0001"),
        ("1001_DFA", ".mp4", "1001_DFA.mp4"),
        ("1001_DFA.mp4", ".mov", "1001_DFA.mp4"),
    ],
)
def test_keys_carry_the_extension_once(filename: str, extension: str, key: str) -> None:
    assert submission_key(filename, extension) == key


def test_refuses_equal_keys_and_unequal_lengths() -> None:
    with pytest.raises(SubmissionError, match=r"key 'a\.mov'"):
        build_submission(BLEMORE, ["a", "a.mov"], [0, 1])
    with pytest.raises(SubmissionError, match="2 clips but 1 answers"):
        build_submission(BLEMORE, ["a", "b"], [0])
