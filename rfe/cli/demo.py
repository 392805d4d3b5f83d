"""`rfe demo`: the whole path on simulated data."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rfe import api
from rfe.cli.command import INTERRUPTED, Settings, command
from rfe.cli.options import AsJson, Output
from rfe.cli.output import print_heading, print_json, print_lines, print_settings, short_path
from rfe.cli.search import print_outcome

if TYPE_CHECKING:
    from rfe.search.outcome import StudyOutcome


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe demo")(demo)


@command
def demo(settings: Settings, output: Output = None, as_json: AsJson = False) -> None:
    """Run the whole workflow in a few minutes: simulate data, check it, search, export.

    It can be stopped and started again; existing results are reused.
    """
    workspace = settings.workspace()
    with settings.progress() as progress:
        result = api.demo(output, workspace=workspace, progress=progress)
    check, outcome = result.check, result.outcome
    if as_json:
        print_json({"check": check.to_dict(), "outcome": outcome.to_dict(), "bundle": result.bundle})
    else:
        print_heading(
            f"data: {check.source_clips} training clips of {check.source_actors} actors, {check.target_clips} target "
            f"clips of {check.target_actors}, {len(check.encoders)} encoders; simulated"
        )
        print_outcome(outcome)
        if result.bundle is not None:
            print_where(outcome, result.bundle)
    if outcome.state == "stopped":
        print_lines("the same command goes on")
        raise typer.Exit(INTERRUPTED)


def print_where(outcome: "StudyOutcome", bundle: Path) -> None:
    """Print where the demo's files are, and the next commands."""
    data = short_path(outcome.data)
    print_heading("\nwhere it is")
    print_settings(
        {
            "data": data,
            "trials": f"{short_path(outcome.folder)}, and in MLflow: rfe ui",
            "bundle": f"{short_path(bundle)}: weights, configuration, decoder, submission.zip",
        }
    )
    print_heading("what to type next")
    print_settings(
        {
            "rfe ui": "every trial in MLflow, with curves and figures",
            "rfe studies show demo": "the trials as a table",
            f"rfe search everything --data {data}": "a larger search; --dry-run says how long",
        }
    )
