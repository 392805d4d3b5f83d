"""Records of a journal: how they are read, and how logs become records and records become logs again."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import numpy as np

from rfe.errors import StudyError
from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyEvent, StudyLog, StudyState, TrialLog, TrialState
from rfe.workspace import StudyFolder

KINDS: dict[str, type[StudyEvent]] = {
    "study": StudyLog,
    "trial": TrialLog,
    "confirmation": ConfirmationLog,
    "outcome": OutcomeLog,
}
"""What `read_events` returns; it skips other kinds. Add one only if MLflow must show it, and name it in every caller of
`read_events`: some take an event that is none of the first three for an outcome."""
_STATES = {"trial": get_args(TrialState), "outcome": get_args(StudyState)}
_FIELDS = {kind: frozenset(entry.name for entry in fields(cls)) for kind, cls in KINDS.items()}
_MAPS = ("config", "per_fold", "curves", "kept_frequency", "tags", "artifacts", "settings", "space", "narrowed")
_TEXTS = (
    *("state", "config_id", "reason", "summary", "data", "data_fingerprint", "session", "worker"),
    *("git_commit", "code_commit", "code_diff"),
)
_NUMBERS = ("seconds", "memory_mb", "gpu_memory_mb", "gpu_percent", "wait_s")
_LATEST = 2e11
"""Seconds since 1970 that a clock may show: some thousand years."""
IN_EVERY_RECORD = ("study", "number", "time")


@dataclass(frozen=True)
class Record:
    """One line of the journal."""

    time: float
    """Seconds since 1970."""
    study: str
    number: int | None
    kind: str
    data: Mapping[str, Any]
    worked_s: float | None = None
    """Seconds that the command which wrote it had the journal open; None in journals of earlier versions."""


def read_records(path: Path) -> Iterator[Record]:
    """Read the records of a journal, oldest first; a missing file has none, an incomplete last line is ignored.

    Raises:
        StudyError: a line that is not the last is no record.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # still being written, or torn by a crash
            yield parse_record(line, f"{path}, line {number}")


def read_events(folder: StudyFolder) -> Iterator[StudyEvent]:
    """The records of `folder`'s journal that a tracker can replay, with absolute paths, oldest first.

    Of a trial or confirmation that was recorded more than once, each stands; the last one holds.
    """
    for record in read_records(folder.journal):
        if record.kind in KINDS:
            yield event_of(record, folder)


def parse_record(line: bytes, where: str) -> Record:
    """The record of a journal's line.

    Raises:
        StudyError: it is none, with its place `where`.
    """
    try:
        data = json.loads(line)
        if not isinstance(data["time"], int | float) or not isinstance(data["number"], int | None):
            raise ValueError("time and number must be numbers")
        if not 0 <= data["time"] < _LATEST:
            raise ValueError(f"time must be seconds since 1970, below {_LATEST:g}")
        if not isinstance(data["study"], str) or not isinstance(data["kind"], str):
            raise ValueError("study and kind must be text")
        worked_s = data.pop("worked_s", None)
        if not isinstance(worked_s, int | float | None):
            raise ValueError("worked_s must be a number")
        return Record(data.pop("time"), data.pop("study"), data.pop("number"), data.pop("kind"), data, worked_s)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StudyError(
            f"{where}: not a journal record ({error}); restore the file from MLflow with `rfe studies pull`, "
            "or delete that line and run `rfe studies repair` (its trial is then trained again)"
        ) from None


def trial_end(record: Record, metric: str = "score") -> tuple[str, float | None]:
    """(state, value of `metric` if complete) of a trial's record; any text and None of a strange one."""
    state, scores = str(record.data.get("state")), record.data.get("scores")
    score = scores.get(metric) if isinstance(scores, dict) and state == "complete" else None
    return state, score if isinstance(score, int | float) else None


def event_of(record: Record, folder: StudyFolder) -> StudyEvent:
    """The log that a record of one of `KINDS` was made of, with absolute paths.

    Raises:
        StudyError: a field is not what it should be.
    """
    with explained(record):
        return _log(record, folder)


@contextmanager
def explained(record: Record) -> Iterator[None]:
    """Turn errors from reading a record's fields into a sentence.

    Raises:
        StudyError: a field has another type or value than it should; names study, kind and number.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:  # OSError: long paths
        number = "" if record.number is None else f", number {record.number},"
        raise StudyError(
            f"study {record.study}: its journal's record of kind {record.kind!r}{number} cannot be read "
            f"({type(error).__name__}: {error}); restore the file with `rfe studies pull {record.study}`"
        ) from None


def _log(record: Record, folder: StudyFolder) -> StudyEvent:
    cls, known = KINDS[record.kind], _FIELDS[record.kind]
    data: dict[str, Any] = {name: value for name, value in record.data.items() if name in known}
    _check_types(data)
    if record.kind in _STATES and data.get("state") not in _STATES[record.kind]:
        raise ValueError(f"state {data.get('state')!r}")
    data["study"] = record.study
    if record.number is not None:
        data["number"] = record.number
    if cls is not StudyLog:
        data["time"] = record.time
    for name in ("seeds", "caveats"):
        if name in data:
            data[name] = tuple(data[name])
    if cls is ConfirmationLog:
        data["scores"] = tuple(data["scores"])
    if "artifacts" in data:
        for name in data["artifacts"]:
            _check_inside(name)  # where a pull would put it
        data["artifacts"] = {name: _inside(folder, path) for name, path in data["artifacts"].items()}
    if data.get("weights") is not None:
        path = _inside(folder, data["weights"])
        data["weights"] = path if path.exists() else None
    for name in _NUMBERS:
        if name in data and data[name] is None:
            data[name] = math.nan
    for name in ("per_fold", "totals"):
        if name in data:
            data[name] = {metric: {int(k): v for k, v in folds.items()} for metric, folds in data[name].items()}
    if "curves" in data:
        data["curves"] = {
            metric: [(epoch, math.nan if value is None else value) for epoch, value in curve]
            for metric, curve in data["curves"].items()
        }
    event: StudyEvent = cls(**data)
    return event


def _check_types(data: Mapping[str, Any]) -> None:
    """Raise TypeError where a field is not what its readers take for granted."""
    for name in _MAPS:
        if not isinstance(data.get(name, {}), dict):
            raise TypeError(f"{name} is no map")
    for name in _TEXTS:
        if not isinstance(data.get(name, ""), str):
            raise TypeError(f"{name} is no text")
    for name in _NUMBERS:
        if not isinstance(data.get(name), int | float | None):
            raise TypeError(f"{name} is no number")
    if not abs(data.get("seconds") or 0.0) < 1e9:
        raise ValueError("seconds are more than a machine has worked")
    if not isinstance(data.get("starts", True), bool):
        raise TypeError("starts is neither true nor false")
    for name in ("scores", "kept_frequency", "seeds"):
        values = data.get(name, ())
        _check_numbers(name, values.values() if isinstance(values, dict) else values)
    for name in ("per_fold", "totals"):
        for folds in data.get(name, {}).values():
            _check_numbers(name, chain.from_iterable(one if name == "totals" else [one] for one in folds.values()))
    for curve in data.get("curves", {}).values():
        _check_numbers("curves", (number for epoch, value in curve for number in (epoch, value) if number is not None))


def _check_numbers(name: str, values: Iterable[Any]) -> None:
    if not all(isinstance(value, int | float) for value in values):
        raise TypeError(f"{name} holds something else than numbers")


def _inside(folder: StudyFolder, path: str) -> Path:
    """A file of the study; a journal may come from anyone, and names no other."""
    _check_inside(path)
    return folder.path / path


def _check_inside(path: str) -> None:
    # as text: thousands of path objects take longer than the JSON
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{path!r} lies outside the study's folder")


def own_fields(log: StudyEvent) -> dict[str, Any]:
    """The log's fields but for those that every record has."""
    return {entry.name: getattr(log, entry.name) for entry in fields(log) if entry.name not in IN_EVERY_RECORD}


def as_json(value: Any) -> Any:
    """`value` as JSON can say it: numpy scalars as numbers, non-finite floats as null, keys as text."""
    if isinstance(value, Mapping):
        return {str(key): as_json(entry) for key, entry in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic | np.ndarray):
        return as_json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [as_json(entry) for entry in value]
    return value
