"""`rfe report`: what studies, ablations and ensembles say, as a page, tables and figures."""

from typing import Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.options import AsJson, DataOrKnown, Output
from rfe.cli.output import print_heading, print_json, print_lines, short_path


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe report everything which-part final -o my-report")(report)


@command
def report(
    settings: Settings,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", show_default=False, help="Studies, ablations, ensembles; several are compared."
        ),
    ],
    output: Output = None,
    data: DataOrKnown = None,
    as_json: AsJson = False,
) -> None:
    """Write a report: report.html (one file, no network needed), report.md, tables (CSV, LaTeX), figures (PNG, SVG).

    Without -o it goes to reports/NAME in the current folder; the report that was there is replaced.
    """
    with settings.progress() as progress:
        written = api.report(names, data, output=output, workspace=settings.workspace(), progress=progress)
    if as_json:
        print_json(written.to_dict())
        return
    print_heading(f"report: {short_path(written.html)}")
    print_lines(*written.headlines[:3])
    if len(written.headlines) > 3:
        print_lines(f"and {len(written.headlines) - 3} more")
