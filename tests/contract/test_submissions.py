"""One suite over every form of a submission: what is written is read, by any task; another's file gets a sentence."""

from pathlib import Path

import numpy as np
import pytest

from rfe.errors import SubmissionError
from rfe.submission.validate import verify_submission
from rfe.submission.writers import WRITERS, SubmissionWriter, writer_of
from rfe.task import BLEMORE, Task
from rfe.task.task import SUBMISSIONS
from tests.tasks import COMPOUND, EIGHT, OTHERS, PLAIN


def answers_of(task: Task) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Clips that answer each possible state once."""
    states = np.flatnonzero(task.state_possible)
    return [f"clip_{state}" for state in states], states, task.state_salience[states].astype(np.float64)


def write(writer: SubmissionWriter, task: Task, folder: Path) -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    filenames, states, probabilities = answers_of(task)
    return writer.write(task, folder, filenames, states, probabilities, ".mov")


def test_each_form_that_a_task_may_name_has_a_writer() -> None:
    assert set(WRITERS) == set(SUBMISSIONS)


@pytest.mark.parametrize("task", [BLEMORE, *OTHERS], ids=lambda task: task.name)
@pytest.mark.parametrize("name", sorted(WRITERS))
def test_what_is_written_is_read(name: str, task: Task, tmp_path: Path) -> None:
    writer = WRITERS[name]
    filenames, states, _ = answers_of(task)
    paths = write(writer, task, tmp_path)
    assert tuple(path.name for path in paths) == writer.names
    for path in paths:
        found, faults = writer.read(task, path)
        assert faults == []
        assert dict(found) == {writer.key(clip, ".mov"): state for clip, state in zip(filenames, states, strict=True)}
    again = write(writer, task, tmp_path / "again")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    assert writer.contents(paths[0]) == writer.contents(again[-1])


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_states_and_names_must_agree_in_number(name: str, tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="2 clips but 1 answers"):
        WRITERS[name].write(BLEMORE, tmp_path, ["a", "b"], np.array([0]), np.ones((1, 6)), ".mov")


@pytest.mark.parametrize("name", sorted(WRITERS))
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b"a,b\n1\n", b'"', b"\x00" * 9, b"PK\x03\x04"])
def test_what_is_no_such_file_gets_a_sentence(name: str, content: bytes, tmp_path: Path) -> None:
    for file in WRITERS[name].names:
        (tmp_path / file).write_bytes(content)
        with pytest.raises(SubmissionError, match=file):
            WRITERS[name].read(BLEMORE, tmp_path / file)
    for place in (tmp_path, tmp_path / "nothing.csv"):
        with pytest.raises(SubmissionError):
            WRITERS[name].read(BLEMORE, place)


def table(folder: Path, task: Task, change: dict[str, str] | None = None, header: str | None = None) -> Path:
    """A table of one clip, with one thing changed."""
    asked = bool(task.ratios_percent)
    names = (
        ["filename", "class_1", "salience_1", "class_2", "salience_2"] if asked else ["filename", "class_1", "class_2"]
    )
    row = dict.fromkeys(names, "") | {"filename": "clip", "class_1": task.classes[0]}
    row |= {"salience_1": "100"} if asked else {}
    row |= change or {}
    path = folder / "submission.csv"
    path.write_text((header or ",".join(row)) + "\n" + ",".join(row.values()) + "\n")
    return path


WRONG = [
    (EIGHT, {"class_1": "awful"}, "unknown class 'awful'; this task has joy, awe"),
    (EIGHT, {"class_1": ""}, "class_1 is empty"),
    (EIGHT, {"class_2": "joy", "salience_2": "50"}, "joy is named twice"),
    (EIGHT, {"salience_1": "80"}, "a single class has salience 100 .*, but joy has 80"),
    (
        EIGHT,
        {"salience_1": "70", "class_2": "awe", "salience_2": "30"},
        "80/20, 65/35, 50/50, 35/65 or 20/80, not 70/30",
    ),
    (EIGHT, {"salience_1": "0.8", "class_2": "awe", "salience_2": "0.2"}, "is a fraction; write percents"),
    (EIGHT, {"salience_1": "much"}, "salience_1: 'much' is not a number"),
    (EIGHT, {"salience_1": "nan"}, "salience_1: 'nan' is not a number"),
    (EIGHT, {"salience_2": "20"}, "salience_2 is 20 but class_2 is empty"),
    (EIGHT, {"class_1": "neu", "class_2": "joy", "salience_1": "50", "salience_2": "50"}, "neu never blends"),
    (EIGHT, {"p_joy": "1.5"}, "p_joy: '1.5' is not a number from 0 to 1"),
    (EIGHT, {"p_no": "1"}, "the column p_no is unknown"),
    (EIGHT, {"filename": ""}, "filename is empty"),
    (COMPOUND, {}, "ang never occurs alone in this task; name the class that it blends with"),
    (COMPOUND, {"class_2": "hap"}, "ang and hap are not one of this task's 7 pairs"),
    (COMPOUND, {"salience_1": "100"}, "the column salience_1 is unknown"),
    (PLAIN, {"class_2": "mid"}, "this task has no blends, so no and mid cannot be shown at once"),
]


@pytest.mark.parametrize(("task", "change", "sentence"), WRONG)
def test_a_wrong_row_gets_its_sentence(task: Task, change: dict[str, str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=sentence):
        verify_submission(task, table(tmp_path, task, change))


def test_a_table_without_probabilities_is_a_submission(tmp_path: Path) -> None:
    assert verify_submission(EIGHT, table(tmp_path, EIGHT), ["clip"]) == 1
    with pytest.raises(SubmissionError, match="no answer"):
        verify_submission(EIGHT, table(tmp_path, EIGHT), ["clip", "other"])
    with pytest.raises(SubmissionError, match="has no column class_2; it has"):
        verify_submission(EIGHT, table(tmp_path, EIGHT, header="filename,class_1,salience_1,x,salience_2"))
    twice = table(tmp_path, EIGHT)
    twice.write_text(twice.read_text() + "clip,awe,100,,\n")
    with pytest.raises(SubmissionError, match="clip: occurs more than once; keep one row"):
        verify_submission(EIGHT, twice)


def test_the_task_says_which_form_is_read(tmp_path: Path) -> None:
    assert writer_of(BLEMORE).names[-1] == "submission.zip"
    assert writer_of(EIGHT).names == ("submission.csv",)
    with pytest.raises(SubmissionError, match=r"is no \.csv, but answers of the task 'eight' are handed in as one"):
        verify_submission(EIGHT, write(WRITERS["blemore"], EIGHT, tmp_path)[0])
