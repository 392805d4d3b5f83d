"""What users ask of a study that may be running: small files in its folder, taken up by the process that works on it.

Only that process writes the journal, so a command leaves a request instead: one file, written beside and renamed, in
the order of their names. See `rfe.search.changes` for what becomes of one.
"""

import json
import os
import time
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import Field, TypeAdapter, ValidationError

from rfe.config.fields import first_problem
from rfe.config.schema import LARGEST, Section
from rfe.errors import StudyError
from rfe.search_space.dimensions import Value
from rfe.workspace import StudyFolder
from rfe.writing import write_text

Number = Annotated[int, Field(ge=0, le=LARGEST)]
MOST_BYTES = 2**20


class AddTrial(Section):
    """Queue a configuration."""

    command: Literal["add"] = "add"
    params: dict[str, Value]
    """Values by parameter; the sampler draws those that are not named."""
    first: bool = False
    """Before what else is queued."""


class RetryTrials(Section):
    """Try failed trials again, under new numbers."""

    command: Literal["retry"] = "retry"
    trials: list[Number]


class PruneTrials(Section):
    """End trials that are open."""

    command: Literal["prune"] = "prune"
    trials: list[Number] = Field(default_factory=list)
    where: str = ""
    """In the place of numbers: a condition; see `rfe.study.selection_expression`."""


class ChangeStudy(Section):
    """Another budget, or another number of workers; null: as it is."""

    command: Literal["change"] = "change"
    trials: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    hours: Annotated[float, Field(gt=0)] | None = None
    workers: Annotated[int, Field(ge=1, le=LARGEST)] | None = None


class Range(Section):
    """The range of a parameter; see `rfe.search_space.dimensions.Dimension`."""

    low: int | float | None = None
    high: int | float | None = None
    step: int | float | None = None
    choices: list[Value] = Field(default_factory=list)


class NarrowSpace(Section):
    """Search smaller ranges from now on."""

    command: Literal["narrow"] = "narrow"
    ranges: dict[str, Range]
    """Of every parameter of the study."""


Request = AddTrial | RetryTrials | PruneTrials | ChangeStudy | NarrowSpace
_READER: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="command")])


def write_request(folder: StudyFolder, request: Request) -> Path:
    """Write a request to the study's folder atomically; returns its file."""
    path = folder.requests / f"{time.time_ns()}-{uuid4().hex[:8]}.json"
    write_text(path, request.model_dump_json(indent=2) + "\n")
    return path


def waiting_requests(folder: StudyFolder) -> list[Path]:
    """Files of the requests that were not taken up yet, oldest first. Costs one listing, as a search looks often."""
    try:
        names = os.listdir(folder.requests)
    except FileNotFoundError:
        return []
    return sorted(folder.requests / name for name in names if name.endswith(".json") and not name.startswith("."))


def read_request(path: Path) -> Request:
    """The request in a file.

    Raises:
        StudyError: it cannot be read as one.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        return _READER.validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        raise StudyError(f"{path}: {first_problem(error)}; it was removed, repeat it with `rfe studies`") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(f"{path}: cannot be read ({error}); it was removed, repeat it with `rfe studies`") from None


def find_answer(journal: Path, request: str, offset: int = 0) -> dict[str, object] | None:
    """Return the journal's record of a request's outcome; None while it is pending.

    Args:
        journal: the file.
        request: the request's id, its file's stem.
        offset: bytes at the journal's beginning that are not looked at, whole lines.
    """
    with journal.open("rb") as file:
        file.seek(offset)
        for line in file:
            if request.encode() in line and line.endswith(b"\n"):
                record = json.loads(line)
                if record.get("kind") == "request" and record.get("id") == request:
                    return dict(record)
    return None
