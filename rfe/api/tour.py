"""The whole path on simulated data."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rfe.api.data import check_data, simulate_data
from rfe.api.results import export
from rfe.api.searching import search
from rfe.extras import needs
from rfe.progress import Progress, SilentProgress
from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.data.check import CheckReport
    from rfe.search.outcome import StudyOutcome


@dataclass(frozen=True)
class DemoResult:
    """Where the demo left what it made."""

    check: CheckReport
    outcome: StudyOutcome
    bundle: Path | None
    """None where the search was interrupted."""


@needs("search")
def demo(
    output: Path | None = None, *, workspace: Workspace | None = None, progress: Progress | None = None
) -> DemoResult:
    """Simulate, check, search and export. Results of an earlier demo are reused.

    Args:
        output: for data and bundle; default `demo` in the workspace.
    """
    from rfe.data.simulate import SimulationSpec

    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    output = output or workspace.root / "demo"
    data = output / "data"
    if not (data / "truth.json").is_file():  # written last
        shutil.rmtree(data, ignore_errors=True)
        simulate_data(SimulationSpec(), data, progress=progress)
        progress.close()
    check = check_data(data)
    outcome = search("demo", data, workspace=workspace, progress=progress)
    if outcome.state == "stopped":
        return DemoResult(check, outcome, None)
    progress.start("export")
    return DemoResult(check, outcome, export("demo", data, output=output / "bundle", workspace=workspace))
