"""Reading a submission, JSON or zip, without trusting it: nothing is unpacked to disk or read without a bound."""

import json
import zipfile
from pathlib import Path
from typing import Any

from rfe.data.arrays import DAMAGED_ZIP
from rfe.data.faults import list_names
from rfe.errors import SubmissionError
from rfe.submission.submission import JSON_NAME
from rfe.workspace import member_problem

MAX_BYTES = 64 * 2**20
"""Largest accepted answer, unpacked: some 600,000 clips."""


def read_submission(path: Path) -> dict[str, Any]:
    """The `predictions` of a submission, JSON or zip, as they stand in the file: key -> list of answers (unchecked).

    Raises:
        SubmissionError: the file is absent, not JSON or a zip of exactly one `submission.json`, has a key twice,
            would unpack outside its folder or to more than `MAX_BYTES`, or has no `predictions`.
    """
    if path.is_dir():
        inside = f", {path / JSON_NAME} say" if (path / JSON_NAME).is_file() else ""
        raise SubmissionError(f"{path}: is a folder; give the submission in it{inside}, a .json or .zip")
    if not path.is_file():
        raise SubmissionError(f"{path}: no such file; give a submission as .json or .zip")
    if path.suffix.lower() == ".csv":
        raise SubmissionError(f"{path}: is a table; give the submission written beside it, a .json or .zip")
    with path.open("rb") as file:
        packed = file.read(4)[:2] == b"PK"
    if path.suffix.lower() == ".zip" and not packed:
        raise SubmissionError(f"{path}: not a zip file, whatever its name says; zip {JSON_NAME} and hand that in")
    content = _read_zip(path) if packed else _read_plain(path)
    where = f"{path} ({JSON_NAME})" if packed else str(path)
    value = _parse_json(content, where)
    if not isinstance(value, dict) or "predictions" not in value:
        found = f"has {_list_keys(value)}" if isinstance(value, dict) else "is no JSON object"
        raise SubmissionError(f'{where}: the top level must be {{"predictions": {{...}}}}, but it {found}')
    if extra := [repr(key) for key in value if key != "predictions"]:
        raise SubmissionError(f"{where}: beside 'predictions' stands {', '.join(extra)}; remove it")
    predictions = value["predictions"]
    if not isinstance(predictions, dict):
        found = type(predictions).__name__
        raise SubmissionError(f"{where}: 'predictions' must map each clip's file name to its answer, not be a {found}")
    return predictions


def _list_keys(value: dict[str, Any]) -> str:
    """A JSON object's keys in words."""
    return f"the keys {', '.join(map(repr, value))}" if value else "no keys"


def _parse_json(content: bytes, where: str) -> Any:
    if not content.strip():
        raise SubmissionError(f"{where}: is empty; write the submission again")
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except UnicodeDecodeError as problem:
        raise SubmissionError(f"{where}: not UTF-8 text (byte {problem.start})") from None
    except json.JSONDecodeError as problem:
        raise SubmissionError(f"{where}: not JSON: {problem.msg} in line {problem.lineno}") from None
    except RecursionError:
        raise SubmissionError(f"{where}: nested too deeply for a submission") from None
    except (_JsonError, ValueError) as problem:  # ValueError: a number of thousands of digits
        raise SubmissionError(f"{where}: {problem}") from None


class _JsonError(Exception):
    """JSON that a parser would let through and a scorer would misread."""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
        raise _JsonError(f"{list_names(twice)}: the key occurs twice, so the answer is ambiguous; keep one")
    return value


def _refuse_constant(name: str) -> Any:
    raise _JsonError(f"{name} is no JSON number; write a percent")


def _read_plain(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SubmissionError(f"{path}: {size / 2**20:.0f} MiB is too large for a submission")
    return path.read_bytes()


def _read_zip(path: Path) -> bytes:
    """Content of the one member, read without unpacking to disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for member in members:
                if problem := member_problem(member.filename):
                    raise SubmissionError(f"{path}: {problem}")
            names = [member.filename for member in members]
            if names != [JSON_NAME]:
                found = ", ".join(map(repr, names[:5])) or "nothing"
                raise SubmissionError(f"{path}: the zip must hold exactly one file, {JSON_NAME!r}; it holds {found}")
            member = members[0]
            if member.flag_bits & 0x1:
                raise SubmissionError(f"{path}: the zip is encrypted; write it without a password")
            if member.file_size > MAX_BYTES:
                raise SubmissionError(
                    f"{path}: {JSON_NAME} claims {member.file_size / 2**20:.0f} MiB unpacked, "
                    f"more than the {MAX_BYTES // 2**20} MiB a submission may have"
                )
            with archive.open(member) as file:
                content = file.read(MAX_BYTES + 1)
    except DAMAGED_ZIP as problem:
        raise SubmissionError(f"{path}: the zip is damaged: {problem}") from None
    if len(content) > MAX_BYTES:  # the claimed size was a lie
        raise SubmissionError(f"{path}: {JSON_NAME} unpacks to more than it claims; refused")
    return content
