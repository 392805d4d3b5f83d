"""`rfe doctor`: what this machine has and lacks."""

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.options import AsJson
from rfe.cli.output import print_json, print_lines, print_table


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe doctor")(doctor)


@command
def doctor(settings: Settings, as_json: AsJson = False) -> None:
    """Check what a search depends on (versions, GPUs, memory, disk, folders, MLflow, ports), and suggest remedies.

    Exit code 1 only if no search could run.
    """
    findings = api.doctor(settings.workspace())
    if as_json:
        print_json([one.to_dict() for one in findings])
    else:
        marks = {"fine": "", "look": "look", "wrong": "WRONG"}
        print_table(["what", "found", ""], [[one.what, one.found, marks[one.verdict]] for one in findings])
        remedies = [f"{one.what}: {one.remedy}" for one in findings if one.remedy]
        print_lines(*(remedies or ["no problems found; start with: rfe demo"]))
    if any(one.verdict == "wrong" for one in findings):
        raise typer.Exit(1)
