"""The program `rfe`: all command groups in one."""

from typing import Annotated

import typer

from rfe import __version__
from rfe.cli import (
    ablations,
    baselines,
    bundles,
    data,
    demo,
    ensembles,
    jobs,
    reports,
    score,
    search,
    studies,
    train,
    ui,
)

app = typer.Typer(
    name="rfe",
    help="Search, understand and hand in models that fuse many encoders to recognise blended emotions.",
    epilog="Begin with: rfe demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (demo, data, search, train, baselines, ablations, jobs, studies, ensembles, reports, bundles, score, ui):
    group.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rfe {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None: ...


def main() -> None:
    """The console script."""
    app()
