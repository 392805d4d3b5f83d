"""How a study is run: what may be asked for beside the space and the data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from rfe.workspace import Workspace


class RunArguments(TypedDict, total=False):
    """The fields of `RunOptions` as keyword arguments."""

    trials: int | None
    hours: float | None
    workers: int | None
    seed: int | None
    warm_start: str | None
    address: str | None


@dataclass(frozen=True)
class RunOptions:
    """How a study is run. Built once, from a command's or a notebook's arguments, and passed down unchanged.

    Raises:
        ConfigError: a number is out of its range.

    Examples:
        >>> RunOptions(trials=50, workers=2)
        RunOptions(trials=50, hours=None, workers=2, seed=None, warm_start=None, address=None)
    """

    trials: int | None = None
    """Size of the study, earlier trials included; None: the space's budget."""
    hours: float | None = None
    """Time to search, added up over resumes; None: the space's budget."""
    workers: int | None = None
    """How many train; None: one per GPU, else up to four per machine."""
    seed: int | None = None
    """Of the study; None: that of the study if it exists, else 0."""
    warm_start: str | None = None
    """Name of a study of the same workspace whose trials a new one learns from."""
    address: str | None = None
    """Of a Ray cluster; None: `RAY_ADDRESS`, else a local Ray that ends with the search."""

    def __post_init__(self) -> None:
        for name in ("trials", "hours", "workers", "seed"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, _number(name, value))

    def earlier_study(self, workspace: Workspace) -> Path | None:
        """Folder of the study that `warm_start` names."""
        return None if self.warm_start is None else workspace.study(self.warm_start).path


def _number(name: str, value: Any) -> int | float:
    from rfe.config.schema import LARGEST_SEED  # here, as pydantic would double the time of `rfe --help`
    from rfe.search.arguments import positive_number, whole_number

    if name == "hours":
        return positive_number(name, value)
    return whole_number(name, value, 0, LARGEST_SEED) if name == "seed" else whole_number(name, value)
