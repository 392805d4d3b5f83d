"""`rfe export` and `rfe verify`: a study's bundle, and whether it is whole."""

from pathlib import Path
from typing import Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.completion import complete_result, complete_trial
from rfe.cli.options import AsJson, DataOrKnown, Output
from rfe.cli.output import print_heading, print_json, print_lines, print_settings, short_path


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(epilog="Example: rfe export everything -o my-bundle")(export)
    app.command(epilog="Example: rfe verify my-bundle --data my-data")(verify)


@command
def export(
    settings: Settings,
    name: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|ENSEMBLE",
            show_default=False,
            autocompletion=complete_result,
            help="Name of the study or ensemble.",
        ),
    ],
    trial: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            show_default=False,
            autocompletion=complete_trial,
            help="Which trial of a study; default: the best.",
        ),
    ] = None,
    output: Output = None,
    data: DataOrKnown = None,
    as_json: AsJson = False,
) -> None:
    """Write the bundle of an ensemble, or of a study's best model: configurations, weights, decoder, submission."""
    with settings.progress() as progress:
        bundle = api.export(name, data, trial=trial, output=output, workspace=settings.workspace(), progress=progress)
    manifest = api.verify(bundle)
    if as_json:
        print_json({"bundle": bundle, "manifest": manifest})
        return
    print_heading(f"bundle: {short_path(bundle)}")
    print_manifest(manifest)
    print_lines(f"next: rfe verify {short_path(bundle)}")


@command
def verify(
    settings: Settings,
    path: Annotated[
        Path, typer.Argument(metavar="BUNDLE", show_default=False, help="A bundle's folder, or a submission file.")
    ],
    data: DataOrKnown = None,
    as_json: AsJson = False,
) -> None:
    """Check a bundle, or a submission on its own; with --data also that every target clip is answered."""
    found = api.verify(path, data)
    if as_json:
        print_json(found)
    elif "format" in found:
        print_heading(f"{path}: whole, {len(found['files'])} files")
        print_manifest(found)
    else:
        print_lines(f"{path}: a right submission of {found['clips']} clips")


def print_manifest(manifest: dict[str, object]) -> None:
    """What a manifest says, without its hashes."""
    shown = {name: value for name, value in manifest.items() if isinstance(value, str | int | float | list)}
    print_settings({name: value for name, value in shown.items() if value not in ("", [])})
