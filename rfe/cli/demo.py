"""`rfe demo`: the whole path on simulated data."""

import typer

from rfe import api
from rfe.cli.command import INTERRUPTED, Settings, command
from rfe.cli.data import print_report
from rfe.cli.options import AsJson, Output
from rfe.cli.output import print_heading, print_json, print_lines
from rfe.cli.search import print_outcome


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe demo")(demo)


@command
def demo(settings: Settings, output: Output = None, as_json: AsJson = False) -> None:
    """Go the whole path in a couple of minutes: simulate data, check it, search, export.

    It can be stopped and started again; what is there is used again.
    """
    workspace = settings.workspace()
    with settings.progress() as progress:
        result = api.demo(output, workspace=workspace, progress=progress)
    if as_json:
        print_json({"check": result.check.to_dict(), "outcome": result.outcome.to_dict(), "bundle": result.bundle})
    else:
        print_report(result.check)
        print_lines("")
        print_outcome(result.outcome)
        print_lines("")
        print_heading("where things are")
        data = result.outcome.data
        print_lines(f"  data     {data}", f"  trials   {result.outcome.folder}", f"  bundle   {result.bundle}")
        print_lines("  MLflow   rfe ui opens it, experiment demo")
        print_heading("what to type next")
        print_lines(
            "  rfe ui                                    every trial in MLflow",
            "  rfe studies show demo                     the trials as a table",
            f"  rfe search everything --data {data}   a larger search",
        )
    if result.outcome.state == "stopped":
        raise typer.Exit(INTERRUPTED)
