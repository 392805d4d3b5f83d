"""A study's live page and its table of trials; both are read from its journal, also while a search writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfe.errors import ConfigError
from rfe.workspace import Workspace, open_workspace
from rfe.writing import PlainRecord

if TYPE_CHECKING:
    import pandas as pd

    from rfe.reporting.trial_table import Parameters

PORT = 8765
EVERY_S = 5.0
LEAST_S, MOST_S = 0.5, 3600.0


def study_table(name: str, workspace: Workspace | None = None, *, parameters: Parameters = "searched") -> pd.DataFrame:
    """Return a table of a study's ended trials, one row each; see `rfe.reporting.trial_table.trial_table`.

    Raises:
        StudyError: there is no such study.

    Examples:
        >>> table = rfe.api.study_table("first")
        >>> len(table), table["score"].idxmax() in table.index
        (6, True)
    """
    from rfe.journal.study import read_journal
    from rfe.reporting.trial_table import trial_table
    from rfe.workspace import find_study

    return trial_table(read_journal(find_study(workspace or open_workspace(), name)), parameters)


@dataclass(frozen=True)
class WrittenTable(PlainRecord):
    """What `write_study_table` wrote."""

    study: str
    file: str
    rows: int
    columns: tuple[str, ...]


def write_study_table(
    name: str, output: Path, workspace: Workspace | None = None, *, parameters: Parameters = "searched"
) -> WrittenTable:
    """Write `study_table` to a file, `.csv` or `.parquet`; one that is there is replaced.

    Raises:
        StudyError: there is no such study.
        ConfigError: the file's name ends otherwise, or Parquet is not installed.

    Examples:
        >>> rfe.api.write_study_table("first", Path("trials.csv")).rows
        6
    """
    from rfe.reporting.trial_table import check_table_file, write_table

    check_table_file(output)
    table = study_table(name, workspace, parameters=parameters)
    write_table(table, output)
    return WrittenTable(name, str(output), len(table), tuple(map(str, table.columns)))


def show_page(
    name: str,
    workspace: Workspace | None = None,
    *,
    port: int = PORT,
    output: Path | None = None,
    every_s: float = EVERY_S,
    note: Callable[[str], None] = print,
) -> None:
    """Serve a page with a study's progress that refreshes itself, until interrupted; on this machine only.

    Args:
        name: of the study, running or not.
        workspace: whose study it is.
        port: to serve on; if it is taken, the next free one.
        output: a file to write the page to instead of serving it: again and again while the search runs, else once.
        every_s: seconds between two refreshes.
        note: told where the page is.

    Raises:
        StudyError: there is no such study, or its journal is damaged.
        ConfigError: no port is free, or `every_s` is out of range.
    """
    from rfe.reporting.watch.serve import keep_page, serve_page
    from rfe.workspace import find_study

    if not LEAST_S <= every_s <= MOST_S:
        raise ConfigError(f"--every {every_s:g}: give {LEAST_S:g} to {MOST_S:g} seconds")
    if output is not None:
        _check_file(name, output)
    folder = find_study(workspace or open_workspace(), name)
    if output is None:
        serve_page(folder, port=port, every_s=every_s, note=note)
    else:
        keep_page(folder, output, every_s=every_s, note=note)


def write_page(name: str, output: Path, workspace: Workspace | None = None) -> Path:
    """Write a snapshot of a study's live page to a file; `show_page` serves one that refreshes itself.

    Raises:
        StudyError: there is no such study, or its journal is damaged.
        ConfigError: the file is a folder.

    Examples:
        >>> rfe.api.write_page("first", Path("first.html")).name
        'first.html'
    """
    from rfe.reporting.watch.serve import write_live_page as write
    from rfe.workspace import find_study

    _check_file(name, output)
    write(find_study(workspace or open_workspace(), name), output)
    return output


def _check_file(name: str, output: Path) -> None:
    if output.is_dir():
        raise ConfigError(f"--output {output}: is a folder; name a file in it, e.g. {output / (name + '.html')}")


def page_data(name: str, workspace: Workspace | None = None) -> dict[str, Any]:
    """Return what a study's live page shows now, as plain values.

    Raises:
        StudyError: there is no such study, or its journal is damaged.

    Examples:
        >>> rfe.api.page_data("first")["counts"]
        {'complete': 4, 'pruned': 0, 'failed': 2}
    """
    from rfe.reporting.watch.study import WatchedStudy
    from rfe.workspace import find_study

    return WatchedStudy(find_study(workspace or open_workspace(), name)).payload()
