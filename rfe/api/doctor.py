"""What this machine has and lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.search.preconditions import Finding


def doctor(workspace: Workspace | None = None) -> list[Finding]:
    """Check everything that a search depends on; see `rfe.doctor`."""
    from rfe.doctor import examine

    return examine(workspace or open_workspace())
