"""`rfe ui`: the runs in a browser."""

from typing import Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.output import print_lines


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe ui --port 5001")(ui)


@command
def ui(
    settings: Settings,
    port: Annotated[int, typer.Option(min=1, max=65535, help="If it is taken, the next free one.")] = 5000,
    tracking_uri: Annotated[
        str | None,
        typer.Option(metavar="URI", show_default=False, help="Of other runs than the workspace's: sqlite:///PATH."),
    ] = None,
) -> None:
    """Open MLflow on this machine (127.0.0.1), with a page for every trial, until Ctrl-C."""
    api.show_ui(settings.workspace(), port=port, tracking_uri=tracking_uri, note=print_lines)
