"""Every fault of a submission is refused with a sentence of its own; a right one passes, as JSON and as zip."""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rfe.errors import SubmissionError
from rfe.submission import reading
from rfe.submission.json_form import check_answers
from rfe.submission.validate import verify_submission
from rfe.task import BLEMORE

NAMES = ["test_0001", "test_0002", "test_0003"]


def good() -> dict[str, Any]:
    return {
        "test_0001.mov": [{"emotion": "disg", "salience": 30}, {"emotion": "ang", "salience": 70}],
        "test_0002.mov": [{"emotion": "hap", "salience": 100.0}],
        "test_0003.mov": [{"emotion": "neu", "salience": 100}],
    }


def write_json(folder: Path, predictions: Any) -> Path:
    path = folder / "submission.json"
    path.write_text(json.dumps({"predictions": predictions}))
    return path


def write_zip(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_accepts_json_and_zip(tmp_path: Path) -> None:
    path = write_json(tmp_path, good())
    assert verify_submission(BLEMORE, path, NAMES) == 3
    zipped = write_zip(tmp_path / "submission.zip", {"submission.json": path.read_text()})
    assert verify_submission(BLEMORE, zipped, NAMES) == 3
    assert verify_submission(BLEMORE, zipped) == 3


def test_states_do_not_depend_on_the_order_of_a_blend() -> None:
    swapped = good()
    swapped["test_0001.mov"].reverse()
    assert check_answers(BLEMORE, good()) == check_answers(BLEMORE, swapped)


ANSWERS = {
    "fraction of a blend": (
        [{"emotion": "ang", "salience": 0.5}, {"emotion": "sad", "salience": 0.5}],
        "0.5 + 0.5 is a fraction; write percents",
    ),
    "fraction of a single": ([{"emotion": "ang", "salience": 1.0}], "is a fraction; write percents"),
    "neutral in a blend": (
        [{"emotion": "neu", "salience": 50}, {"emotion": "sad", "salience": 50}],
        "neutral never blends",
    ),
    "illegal ratio": ([{"emotion": "ang", "salience": 60}, {"emotion": "sad", "salience": 40}], "not 60/40"),
    "sum": ([{"emotion": "ang", "salience": 70}, {"emotion": "sad", "salience": 70}], "must sum to 100"),
    "single not 100": ([{"emotion": "ang", "salience": 70}], "has salience 100"),
    "no emotion": ([], "one or two classes, not 0"),
    "three emotions": (
        [{"emotion": name, "salience": 30} for name in ("ang", "sad", "hap")],
        "one or two classes, not 3",
    ),
    "same emotion twice": ([{"emotion": "ang", "salience": 50}] * 2, "ang is named twice"),
    "unknown emotion": ([{"emotion": "joy", "salience": 100}], "unknown class 'joy'; this task has ang"),
    "emotion no text": ([{"emotion": ["ang"], "salience": 100}], "unknown class"),
    "text for a number": ([{"emotion": "ang", "salience": "100"}], "must be a number"),
    "true for a number": ([{"emotion": "ang", "salience": True}], "must be a number"),
    "negative": ([{"emotion": "ang", "salience": 130}, {"emotion": "sad", "salience": -30}], "from 0 to 100"),
    "number without end": ([{"emotion": "ang", "salience": 10**400}], "from 0 to 100"),
    "missing field": ([{"emotion": "ang"}], 'written {"emotion": NAME, "salience": PERCENT}'),
    "not a list": ({"ang": 100}, "must be a list"),
}


@pytest.mark.parametrize(("answer", "sentence"), ANSWERS.values(), ids=ANSWERS.keys())
def test_refuses_an_illegal_answer(tmp_path: Path, answer: Any, sentence: str) -> None:
    predictions = good() | {"test_0002.mov": answer}
    with pytest.raises(SubmissionError) as error:
        verify_submission(BLEMORE, write_json(tmp_path, predictions), NAMES)
    assert "test_0002.mov" in str(error.value)
    assert sentence in str(error.value)


def test_equal_faults_make_one_sentence(tmp_path: Path) -> None:
    predictions = {f"test_{i:04d}.mov": [{"emotion": "ang", "salience": 1}] for i in range(50)}
    with pytest.raises(SubmissionError) as error:
        verify_submission(BLEMORE, write_json(tmp_path, predictions))
    assert str(error.value).count("fraction;") == 1
    assert "and 47 more" in str(error.value)


def test_faults_that_differ_by_their_values_alone_make_one_sentence(tmp_path: Path) -> None:
    predictions = {
        f"{i}.mov": [{"emotion": "ang", "salience": 71 + i / 10}, {"emotion": "sad", "salience": 29 - i / 10}]
        for i in range(60)
    }
    with pytest.raises(SubmissionError) as error:
        verify_submission(BLEMORE, write_json(tmp_path, predictions))
    assert "0.mov, 1.mov, 2.mov and 57 more: saliences of a blend are 70/30, 50/50 or 30/70, not 71/29" in str(
        error.value
    )
    assert "problems" not in str(error.value)


def test_refuses_missing_unknown_and_bare_keys(tmp_path: Path) -> None:
    predictions = good()
    del predictions["test_0003.mov"]
    predictions["test_0009.mov"] = predictions.pop("test_0001.mov")
    predictions["test_0002"] = predictions.pop("test_0002.mov")
    with pytest.raises(SubmissionError) as error:
        verify_submission(BLEMORE, write_json(tmp_path, predictions), NAMES)
    text = str(error.value)
    assert "test_0001.mov, test_0003.mov: no answer (2 of 3 target clips)" in text
    assert "test_0009.mov: not a target clip" in text
    assert "write 'test_0002.mov', not 'test_0002'" in text


def test_the_extension_is_an_option(tmp_path: Path) -> None:
    predictions = {key.removesuffix(".mov"): value for key, value in good().items()}
    path = write_json(tmp_path, predictions)
    assert verify_submission(BLEMORE, path, NAMES, extension="") == 3
    with pytest.raises(SubmissionError, match="lacks the video's extension"):
        verify_submission(BLEMORE, path, NAMES)


TEXTS = {
    "key twice": ('{"predictions": {"a.mov": [], "a.mov": []}}', "a.mov: the key occurs twice"),
    "field twice": (
        '{"predictions": {"a.mov": [{"emotion": "ang", "salience": 100, "salience": 70}]}}',
        "salience: the key occurs twice",
    ),
    "not JSON": ("predictions: 3", "not JSON"),
    "NaN": ('{"predictions": {"a.mov": [{"emotion": "ang", "salience": NaN}]}}', "NaN is no JSON number"),
    "no predictions": ('{"a.mov": []}', "the top level must be"),
    "a list": ("[]", "the top level must be"),
    "more than predictions": ('{"predictions": {}, "note": 1}', "beside 'predictions' stands 'note'"),
    "predictions a list": ('{"predictions": []}', "not be a list"),
    "empty": ('{"predictions": {}}', "answers no clip"),
    "nested": ("[" * 200_000, "nested too deeply"),
    "digits": ('{"predictions": ' + "1" * 5000 + "}", "digits"),
}


@pytest.mark.parametrize(("text", "sentence"), TEXTS.values(), ids=TEXTS.keys())
def test_refuses_a_misleading_file(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "answer.json"
    path.write_text(text)
    with pytest.raises(SubmissionError, match="answer") as error:
        verify_submission(BLEMORE, path)
    assert sentence in str(error.value)


def test_refuses_bytes_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_bytes(b'{"predictions": "\xff"}')
    with pytest.raises(SubmissionError, match="not UTF-8"):
        verify_submission(BLEMORE, path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("../submission.json", "leads outside its folder"),
        ("a/../../submission.json", "leads outside its folder"),
        ("/submission.json", "is absolute"),
        ("C:/submission.json", "is absolute"),
        ("predictions.json", "exactly one file, 'submission.json'; it holds 'predictions.json'"),
        ("folder/submission.json", "exactly one file"),
    ],
)
def test_refuses_a_zip_with_another_member(tmp_path: Path, name: str, sentence: str) -> None:
    path = write_zip(tmp_path / "s.zip", {name: json.dumps({"predictions": good()})})
    with pytest.raises(SubmissionError) as error:
        verify_submission(BLEMORE, path, NAMES)
    assert sentence in str(error.value)


def test_refuses_a_second_member_and_an_empty_zip(tmp_path: Path) -> None:
    two = write_zip(tmp_path / "two.zip", {"submission.json": "{}", "__MACOSX/x": ""})
    with pytest.raises(SubmissionError, match="__MACOSX"):
        verify_submission(BLEMORE, two)
    with pytest.raises(SubmissionError, match="it holds nothing"):
        verify_submission(BLEMORE, write_zip(tmp_path / "none.zip", {}))


def test_refuses_a_zip_bomb_by_its_claim_and_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "bomb.zip", {"submission.json": " " * 200_000})
    monkeypatch.setattr(reading, "MAX_BYTES", 100_000)
    with pytest.raises(SubmissionError, match="claims"):
        verify_submission(BLEMORE, path)
    raw = path.read_bytes()
    lie = tmp_path / "lie.zip"
    lie.write_bytes(raw.replace(struct.pack("<I", 200_000), struct.pack("<I", 10)))
    with pytest.raises(SubmissionError, match=r"damaged|more than it claims"):
        verify_submission(BLEMORE, lie)


def test_refuses_a_damaged_zip_and_a_zip_that_is_none(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "s.zip", {"submission.json": json.dumps({"predictions": good()})})
    raw = bytearray(path.read_bytes())
    raw[60] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(SubmissionError, match="damaged"):
        verify_submission(BLEMORE, path)
    path.write_bytes(raw[:50])
    with pytest.raises(SubmissionError, match="damaged"):
        verify_submission(BLEMORE, path)
    path.write_text("{}")
    with pytest.raises(SubmissionError, match="not a zip file"):
        verify_submission(BLEMORE, path)


def test_refuses_an_absent_and_a_huge_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SubmissionError, match="no such file"):
        verify_submission(BLEMORE, tmp_path / "none.json")
    monkeypatch.setattr(reading, "MAX_BYTES", 10)
    with pytest.raises(SubmissionError, match="too large"):
        verify_submission(BLEMORE, write_json(tmp_path, good()))
