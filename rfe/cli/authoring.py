"""`rfe init` and `rfe schema`: a folder to begin with, and what editors need to check and complete YAML."""

from pathlib import Path
from typing import Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.completion import complete_kind
from rfe.cli.options import AsJson
from rfe.cli.output import print_json, print_lines, short_path, typed_path


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(epilog="Example: rfe init my-project")(init)
    app.command(epilog="Example: rfe schema space")(schema)


@command
def init(
    settings: Settings,
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="Created if it does not exist.")],
    as_json: AsJson = False,
) -> None:
    """Create a project folder: a commented space, a plan, a job, and a README with the next commands.

    A folder that has one of these files is left as it is.
    """
    written = api.init(folder)
    if as_json:
        print_json([str(path) for path in written])
        return
    print_lines(*(f"  {short_path(path)}" for path in written))
    print_lines(f"next: cd {typed_path(folder)}, put features into data/, and see README.md")


@command
def schema(
    settings: Settings,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="[config|space|plan|job|mapping|task]", autocompletion=complete_kind, help="The kind of file."
        ),
    ] = "space",
) -> None:
    """Print the JSON Schema of a kind of YAML file, with which editors check and complete it.

    Write it to a file, and name that in the first line of the YAML: # yaml-language-server: $schema=space-schema.json
    """
    print_json(api.schema(kind))
