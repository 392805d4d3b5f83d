"""Reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rfe.extras import needs
from rfe.progress import Progress, SilentProgress
from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.reporting.report.write import WrittenReport


@needs("search", "report")
def report(
    names: Sequence[str],
    data: Path | str | None = None,
    *,
    output: Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> WrittenReport:
    """Write a report on studies, ablations and ensembles; see `rfe.reporting.report`.

    Args:
        names: one, or several that are held side by side.
        data: the data folder, where it is not where it was.
        output: the folder to write; None: `reports/NAME[+NAME...]` in the current folder. A report there is replaced.
        workspace: holds what is named; the report is attached to their MLflow runs.
        progress: told how far it is, and of an MLflow that does not answer.

    Raises:
        ConfigError: nothing is named, or `output` holds something else.
        StudyError: a name that nothing has, or something damaged.

    Examples:
        >>> rfe.api.report(["first"]).html  # doctest: +SKIP
    """
    from rfe.ensemble.stored import StoredEnsemble
    from rfe.reporting.report.build import build_report
    from rfe.reporting.report.write import check_place, write_report
    from rfe.tracking.attachments import attach_files, study_run

    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    names = list(dict.fromkeys(names))
    output = output or Path("reports") / "+".join(names)[:150]
    check_place(output)
    contents, found = build_report(names, workspace, data, progress)
    written = write_report(contents, output, names, progress)
    progress.start("attaching the report to the runs in MLflow", len(found))
    notes = []
    for done, one in enumerate(found, 1):
        files = {"report": [written.html, written.markdown], "report/figures": written.figures}
        kind, run = ("ensemble", one.run_id) if isinstance(one, StoredEnsemble) else ("study", study_run(one))
        notes.append(attach_files(workspace, f"{kind} {one.name!r}", run, files))
        progress.update(done)
    for note in dict.fromkeys(filter(None, notes)):
        progress.note(f"the report is {note}")
    return written
