"""`task.yaml` of a data folder: read, and written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rfe.config.fields import problems_of
from rfe.config.reading import read_yaml, write_yaml
from rfe.data.faults import Faults
from rfe.errors import ConfigError, gather
from rfe.task import BLEMORE, Task, TaskFile
from rfe.writing import write_text

TASK_FILE = "task.yaml"
"""Where a data folder says which labels its clips have; a folder without one has BlEmoRE's."""


def read_task(path: Path) -> Task:
    """The task that a YAML file describes; see `rfe.task.TaskFile`.

    Raises:
        ConfigError: everything that is wrong with it, in one message that begins with the path.
    """
    return parse_task(read_yaml(path), str(path))


def parse_task(value: Mapping[str, Any], heading: str) -> Task:
    """As `read_task`, of plain values; `heading` names them in messages.

    Examples:
        >>> parse_task({"name": "valence", "classes": ["neg", "pos"]}, "task.yaml").n_states
        2
    """
    gather(problems_of(TaskFile, dict(value)), ConfigError, heading)
    return TaskFile.model_validate(value).to_task(heading)


def folder_task(folder: Path, faults: Faults) -> Task | None:
    """The task of a data folder: its `task.yaml`'s, or BlEmoRE's; None, and a problem noted, where that is wrong."""
    path = folder / TASK_FILE
    if not path.is_file():
        return BLEMORE
    try:
        return read_task(path)
    except ConfigError as error:
        faults.problem(str(error).removeprefix(f"{folder}/"))
        return None


def write_task(path: Path, task: Task) -> None:
    """Write a task as `task.yaml`; `read_task` reads an equal one."""
    write_text(path, write_yaml(task.to_dict()))


def compared_labels(task: Task) -> tuple[Any, ...]:
    """What two tasks must have in common for a model of one to answer the other's clips: classes, blends and ratios.

    Examples:
        >>> compared_labels(Task("ab", ("a", "b"))) == compared_labels(Task("other", ("a", "b")))
        True
    """
    return (task.classes, task.pairs, task.ratios_percent, task.alone)
