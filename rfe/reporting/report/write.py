"""A report as a folder: report.md, report.html, tables and figures; written beside, then renamed."""

import csv
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfe.errors import ConfigError
from rfe.progress import Progress
from rfe.reporting.report.document import ReportDocument, Table
from rfe.reporting.report.html import report_html
from rfe.reporting.report.latex import table_latex
from rfe.reporting.report.markdown import report_markdown
from rfe.reporting.report.static import draw
from rfe.writing import replace_folder, write_bytes, write_json, write_text

MARKER = "report.json"
"""Says that a folder is a report, and may be replaced by one."""


@dataclass(frozen=True)
class WrittenReport:
    """Where a report is."""

    folder: Path
    headlines: tuple[str, ...]

    @property
    def html(self) -> Path:
        return self.folder / "report.html"

    @property
    def markdown(self) -> Path:
        return self.folder / "report.md"

    @property
    def figures(self) -> tuple[Path, ...]:
        return tuple(sorted((self.folder / "figures").iterdir()))

    @property
    def tables(self) -> tuple[Path, ...]:
        return tuple(sorted((self.folder / "tables").iterdir()))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "folder": str(self.folder),
            "html": str(self.html),
            "markdown": str(self.markdown),
            "tables": [str(path) for path in self.tables],
            "figures": [str(path) for path in self.figures],
            "headlines": list(self.headlines),
        }


def check_place(folder: Path) -> None:
    """Refuse a folder that a report must not replace.

    Raises:
        ConfigError: it is a file, or a folder with something else in it.
    """
    if folder.is_file():
        raise ConfigError(f"--output {folder}: is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not _is_report(folder):
        raise ConfigError(f"--output {folder}: holds something else than a report; name another folder with --output")


def write_report(report: ReportDocument, folder: Path, names: list[str], progress: Progress) -> WrittenReport:
    """Write everything; a report that stood there is replaced.

    Raises:
        ConfigError: as `check_place`.
    """
    check_place(folder)
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        _write_all(report, beside, names, progress)
        replace_folder(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return WrittenReport(folder, report.headlines)


def _write_all(report: ReportDocument, folder: Path, names: list[str], progress: Progress) -> None:
    progress.start("drawing figures", len(report.figures))
    stills = {}
    for done, figure in enumerate(report.figures, 1):
        stills[figure.name] = draw(figure)
        png, svg = stills[figure.name]
        write_bytes(folder / "figures" / f"{figure.name}.png", png)
        write_bytes(folder / "figures" / f"{figure.name}.svg", svg)
        progress.update(done)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for table in report.tables:
        write_text(folder / "tables" / f"{table.name}.csv", table_csv(table))
        write_text(folder / "tables" / f"{table.name}.tex", table_latex(table))
    for table in report.attached:
        write_text(folder / "tables" / f"{table.name}.csv", table_csv(table))
    write_text(folder / "report.md", report_markdown(report))
    write_text(folder / "report.html", report_html(report, stills))
    write_json(folder / MARKER, {"report": names, "title": report.title, **report.made})


def table_csv(table: Table) -> str:
    """The table with all digits; nothing for None and NaN."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.title or "field" for column in table.columns)
    for row in table.rows:
        writer.writerow("" if value is None or value != value else value for value in row)
    return text.getvalue()


def _is_report(folder: Path) -> bool:
    try:
        return "report" in json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False
