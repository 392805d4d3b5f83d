"""The studies of a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.reporting.studies import StudyDetail, StudySummary


def list_studies(workspace: Workspace | None = None) -> list[StudySummary]:
    """Every study of the workspace, the one changed last first."""
    from rfe.reporting.studies import summarize_study

    workspace = workspace or open_workspace()
    summaries = [summarize_study(workspace.study(name)) for name in workspace.study_names()]
    return sorted(summaries, key=lambda summary: -summary.changed)


def show_study(name: str, workspace: Workspace | None = None, *, top: int = 20, sort: str = "score") -> StudyDetail:
    """One study with its best trials; see `rfe.reporting.studies`."""
    from rfe.reporting.studies import describe_study, find_study

    return describe_study(find_study(workspace or open_workspace(), name), top=top, sort=sort)
