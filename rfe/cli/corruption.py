"""`rfe data corrupt`: a data set with wrong features whose truth is known."""

from pathlib import Path
from typing import Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.data import NewFolder, group
from rfe.cli.options import AsJson
from rfe.cli.output import print_json, print_lines, print_table, short_path, typed_path


def register(app: typer.Typer) -> None:
    """Add the command to `rfe data`."""
    group.command(epilog="Example: rfe data corrupt my-data -o my-data-wrong --share 0.3 --seed 0")(corrupt)


@command
def corrupt(
    settings: Settings,
    folder: Annotated[Path, typer.Argument(metavar="DATA", show_default=False, help="The data folder.")],
    output: NewFolder,
    share: Annotated[float, typer.Option(help="Part of the clips of each encoder, between 0 and 1.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Equal seeds alter the same clips, in either mode.")] = 0,
    mode: Annotated[str, typer.Option(help="swap: another clip's features; mask: none (the oracle).")] = "swap",
    within: Annotated[str, typer.Option(help="Whose other clips' features are shown: the actor's or the fold's.")] = (
        "actor"
    ),
    as_json: AsJson = False,
) -> None:
    """Corrupt the features of a random share of each encoder's clips, and record which ones.

    A gate that sees the clip must notice which. The same with --mode mask is the oracle that knows it.
    """
    from rfe.data.corruption import CorruptionSpec

    spec = CorruptionSpec(share, seed, mode, within)  # type: ignore[arg-type]  # checked, with a sentence
    with settings.progress() as progress:
        report = api.corrupt_data(folder, output, spec, progress=progress)
    if as_json:
        print_json(report.to_dict())
        return
    what = "wrong" if mode == "swap" else "masked"
    print_table(
        ["encoder", "clips", what],
        [[name, report.available[name], count] for name, count in report.altered.items()],
    )
    if report.spared:
        print_lines(f"{report.spared} clips keep one encoder that was drawn too, as nothing would be left of them")
    print_lines(
        f"the truth is in {short_path(output / 'corruption.json')}", f"next: rfe data check {typed_path(output)}"
    )
