"""Converts arguments that have several forms: a workspace, data."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from rfe.api import DataSource
from rfe.errors import DataError
from rfe.notebook.data import Data
from rfe.workspace import Workspace, open_workspace

WorkspaceLike: TypeAlias = Workspace | Path | str | None
"""A workspace, its folder, or None: that of `RFE_WORKSPACE`, else `./rfe-workspace`."""
DataLike: TypeAlias = Data | Path | str
"""What `load_data` returned, a folder, or a URI."""


def find_workspace(given: WorkspaceLike) -> Workspace:
    """The workspace.

    Examples:
        >>> find_workspace("rfe-workspace").root.name
        'rfe-workspace'
    """
    return given if isinstance(given, Workspace) else open_workspace(None if given is None else Path(given))


def find_data(given: DataLike | None) -> DataSource | None:
    """Return the data in the form that `rfe.api` takes; DataError for anything else."""
    return given.dataset if isinstance(given, Data) else find_data_folder(given)


def find_data_folder(given: DataLike | None) -> Path | str | None:
    """Return the data's folder or URI; DataError for anything else."""
    if given is None or isinstance(given, str | Path):
        return given
    if isinstance(given, Data):
        return given.path
    raise DataError(
        f"data: a {type(given).__name__} is neither a data folder (its path or URI) nor what rfe.load_data returned; "
        "give one of them"
    )
