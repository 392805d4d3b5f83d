"""A plain table as a submission: `filename, class_1, salience_1, class_2, salience_2, p_CLASS ...`.

Saliences are percents; they have no columns where the task asks no ratio. The second class and its salience are empty
for a single class. `p_CLASS` is the expected share of the class's salience, 0 to 1; a table may come without them.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.faults import list_names
from rfe.errors import SubmissionError
from rfe.submission.answers import read_answers
from rfe.submission.reading import MAX_BYTES
from rfe.task import Task
from rfe.writing import write_text

CSV_NAME = "submission.csv"


class CsvSubmission:
    """One file, `submission.csv`; clips have the metadata's names."""

    names = (CSV_NAME,)

    def write(
        self,
        task: Task,
        folder: Path,
        filenames: Sequence[str],
        states: NDArray[np.int64],
        probabilities: NDArray[np.float64],
        extension: str,
    ) -> tuple[Path, ...]:
        if len(states) != len(filenames):
            raise SubmissionError(f"{len(filenames)} clips but {len(states)} answers; one state a clip is needed")
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow([*_answer_columns(task), *_probability_columns(task)])
        for filename, state, shares in zip(filenames, states.tolist(), probabilities.tolist(), strict=True):
            (first, percent), (second, other), *_ = [*task.state_percents(state).items(), ("", "")]
            answer = [first, percent, second, other] if task.ratios_percent else [first, second]
            rows.writerow([filename, *answer, *shares])
        write_text(folder / CSV_NAME, text.getvalue())
        return (folder / CSV_NAME,)

    def read(self, task: Task, path: Path) -> tuple[Mapping[str, int | None], list[str]]:
        return read_answers(_read_rows(task, path), partial(_row_state, task))

    def contents(self, path: Path) -> Any:
        return path.read_bytes()

    def key(self, filename: str, extension: str) -> str:
        return filename


def _answer_columns(task: Task) -> tuple[str, ...]:
    if task.ratios_percent:
        return ("filename", "class_1", "salience_1", "class_2", "salience_2")
    return ("filename", "class_1", "class_2")


def _probability_columns(task: Task) -> tuple[str, ...]:
    return tuple(f"p_{code}" for code in task.classes)


def _read_rows(task: Task, path: Path) -> dict[str, dict[str, str]]:
    """Clip -> column -> text."""
    if path.is_dir():
        inside = f", {path / CSV_NAME} say" if (path / CSV_NAME).is_file() else ""
        raise SubmissionError(f"{path}: is a folder; give the submission in it{inside}, a .csv")
    if not path.is_file():
        raise SubmissionError(f"{path}: no such file; give a submission as .csv")
    if path.suffix.lower() != ".csv":
        raise SubmissionError(f"{path}: is no .csv, but answers of the task {task.name!r} are handed in as one")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise SubmissionError(f"{path}: {size / 2**20:.0f} MiB is too large for a submission")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except UnicodeDecodeError as problem:
        raise SubmissionError(f"{path}: not UTF-8 text (byte {problem.start})") from None
    except csv.Error as problem:
        raise SubmissionError(f"{path}: cannot be read as CSV ({problem})") from None
    header = [name.strip() for name in lines[0]] if lines else []
    _check_header(task, path, header)
    rows: dict[str, dict[str, str]] = {}
    twice: list[str] = []
    for number, cells in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise SubmissionError(f"{path}, row {number}: {len(cells)} fields where the header has {len(header)}")
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        twice += [row["filename"]] if row["filename"] in rows else []
        rows[row["filename"]] = row
    if twice:
        raise SubmissionError(f"{path}: {list_names(twice)}: occurs more than once; keep one row for each clip")
    return rows


def _check_header(task: Task, path: Path, header: Sequence[str]) -> None:
    needed, known = _answer_columns(task), {*_answer_columns(task), *_probability_columns(task)}
    lacking = [name for name in needed if name not in header]
    if lacking:
        raise SubmissionError(
            f"{path}: has no column {', '.join(lacking)}; it has: {', '.join(header) or 'none'}; answers of the task "
            f"{task.name!r} stand in {', '.join(needed)}"
        )
    strange = [name for name in header if name not in known] + [name for name in header if header.count(name) > 1]
    if strange:
        raise SubmissionError(
            f"{path}: the column {', '.join(dict.fromkeys(strange))} is unknown or there twice; remove it"
        )


def _row_state(task: Task, row: Mapping[str, str]) -> int:
    """State of one clip's answer; ValueError with a sentence when illegal."""
    for code in (column.removeprefix("p_") for column in row if column.startswith("p_")):
        if not 0 <= _number(f"p_{code}", row[f"p_{code}"]) <= 1.005:
            raise ValueError(f"p_{code}: {row[f'p_{code}'][:20]!r} is not a number from 0 to 1")
    first, second = row["class_1"], row["class_2"]
    if not row["filename"]:
        raise ValueError("filename is empty; name the clip")
    if not first:
        raise ValueError("class_1 is empty; a clip needs an answer")
    if first == second:
        raise ValueError(f"{first} is named twice")
    if not task.ratios_percent:
        return task.state_index({first: 50.0, second: 50.0} if second else {first: 100.0})
    percents = {first: _number("salience_1", row["salience_1"])}
    if second:
        percents[second] = _number("salience_2", row["salience_2"])
    elif row["salience_2"]:
        raise ValueError(f"salience_2 is {row['salience_2'][:20]} but class_2 is empty")
    if abs(sum(percents.values()) - 1) < 0.02:
        fractions = " + ".join(f"{value:g}" for value in percents.values())
        raise ValueError(f"salience {fractions} is a fraction; write percents (70, not 0.7)")
    return task.state_index(percents)


def _number(column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{column}: {text[:20]!r} is not a number")
    return number
