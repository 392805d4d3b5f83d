"""What the functions take in several forms: a workspace, data."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from rfe.api import DataSource
from rfe.notebook.data import Data
from rfe.workspace import Workspace, open_workspace

WorkspaceLike: TypeAlias = Workspace | Path | str | None
"""A workspace, its folder, or None: that of `RFE_WORKSPACE`, else `./rfe-workspace`."""
DataLike: TypeAlias = Data | Path | str
"""What `load_data` returned, a folder, or a URI."""


def find_workspace(given: WorkspaceLike) -> Workspace:
    """The workspace."""
    return given if isinstance(given, Workspace) else open_workspace(None if given is None else Path(given))


def find_data(given: DataLike | None) -> DataSource | None:
    """The data as `rfe.api` takes it."""
    return given.dataset if isinstance(given, Data) else given


def find_folder(given: DataLike | None) -> Path | str | None:
    """The data's folder or URI."""
    return given.path if isinstance(given, Data) else given
