"""`rfe watch`: a study as a page that refreshes itself; `rfe studies table`: its trials as a file."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.options import AsJson, Study
from rfe.cli.output import print_json, print_lines, short_path


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe watch demo")(watch)


def register_table(group: typer.Typer) -> None:
    """Add the table to `rfe studies`."""
    group.command(epilog="Example: rfe studies table demo --output trials.csv")(table)


@command
def watch(
    settings: Settings,
    study: Study,
    port: Annotated[int, typer.Option(min=1, max=65535, help="If it is taken, the next free one.")] = 8765,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="Write the page to this file while the search runs, instead of serving it.",
        ),
    ] = None,
    every: Annotated[float, typer.Option(metavar="SECONDS", help="How often it is refreshed.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Show a study's progress in a browser: best so far, parameters, importance, workers, failures.

    The page refreshes itself, is served on this machine only and loads nothing from any other; the search is not
    disturbed.
    From another machine: ssh -L 8765:127.0.0.1:8765 HOST. In a terminal: rfe studies show STUDY --watch.
    """
    workspace = settings.workspace()
    if as_json:
        print_json(api.page_data(study, workspace))
        return
    api.show_page(study, workspace, port=port, output=output, every_s=every, note=print_lines)
    if output is not None:
        print_lines(f"study {study}: the page is {short_path(output)}")


@command
def table(
    settings: Settings,
    study: Study,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", show_default=False, help="A .csv or .parquet file.")
    ],
    parameters: Annotated[
        Literal["searched", "all"],
        typer.Option(help="Columns for what the study searches, or for every field of the configurations."),
    ] = "searched",
    as_json: AsJson = False,
) -> None:
    """Write a table of all ended trials, one row each; also while the study runs.

    Columns: state, times, memory, worker, scores with standard errors, each fold's, the parameters, and of confirmed
    trials mean and standard deviation over fresh seeds.
    """
    written = api.write_study_table(study, output, settings.workspace(), parameters=parameters)
    if as_json:
        print_json(written.to_dict())
        return
    print_lines(f"{written.rows} trials with {len(written.columns)} columns are in {short_path(written.file)}")
