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
        typer.Option(metavar="URI", show_default=False, help="Show other runs than the workspace's: sqlite:///PATH."),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-hosts",
            metavar="NAME",
            show_default=False,
            help="A name by which other machines call this one, e.g. gpu1.example.org; repeatable, or with commas.",
        ),
    ] = None,
    auth: Annotated[
        bool,
        typer.Option(
            "--auth",
            help="Require a password. The first start creates the user MLFLOW_TRACKING_USERNAME (else admin) with "
            "MLFLOW_TRACKING_PASSWORD.",
        ),
    ] = False,
) -> None:
    """Open MLflow, with a page for every trial, until Ctrl-C; on this machine only unless --host says otherwise."""
    names = [name.strip() for given in allowed_hosts or () for name in given.split(",")]
    api.show_ui(
        settings.workspace(),
        port=port,
        tracking_uri=tracking_uri,
        host=host,
        allowed_hosts=[name for name in names if name],
        auth=auth,
        note=print_lines,
    )
