"""The program `rfe`: all command groups in one."""

import os
import sys
from typing import Annotated

import typer

from rfe import __version__
from rfe.cli import (
    ablations,
    authoring,
    baselines,
    bundles,
    corruption,
    data,
    demo,
    doctor,
    ensembles,
    jobs,
    reports,
    score,
    search,
    studies,
    train,
    ui,
    watch,
)
from rfe.threads import leave

EPILOG = (
    "Begin with: rfe demo. Exit codes: 0 fine; 1 an internal error, or a search in which no trial finished; 2 the "
    "input is wrong; 130 interrupted. NO_COLOR=1 prints without colours."
)

app = typer.Typer(
    name="rfe",
    help="Search, understand and hand in models that fuse many encoders to recognise blended emotions.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    *(demo, doctor, authoring, corruption, data, search, train, baselines, ablations),
    *(jobs, studies, watch, ensembles, reports, bundles, score, ui),
):
    group.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rfe {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def main() -> None:
    """The console script."""
    open_standard_streams()
    try:
        app()
    except SystemExit as ended:
        leave(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
        raise


def open_standard_streams() -> None:
    """Open on nothing what the caller closed (`2>&-`, some schedulers). The next file or socket would get the number,
    and what any library writes to standard error would go into it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
