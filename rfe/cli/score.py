"""`rfe score`: the official metrics of a file."""

from pathlib import Path
from typing import Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.options import AsJson
from rfe.cli.output import print_heading, print_json, print_lines, print_table


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe score my-bundle/submission.zip --data my-data")(score)


@command
def score(
    settings: Settings,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="A submission (.json, .zip or .csv), or an .npz with probabilities [N, class] and filenames.",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data", "-d", metavar="PATH", show_default=False, help="A data folder, or a CSV file of labels alone."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Score answers on the clips whose labels are known, with intervals over actors; needs no features.

    For probabilities it also fits the organisers' two thresholds: their grid's choice and the exact optimum.
    """
    found = api.score(file, data)
    if as_json:
        print_json(found.to_dict())
        return
    actors = f" of {found.n_actors} actors" if found.n_actors else ""
    print_heading(f"{found.path} on {found.data}: {found.n_clips} clips{actors}, {found.n_blends} of them blends")
    columns = ["answers", "score", "presence", "salience", "blends answered", "alpha", "beta", "note"]
    rows = []
    for rating in found.ratings:
        alpha, beta = rating.thresholds or (None, None)
        metrics = [_interval(rating.intervals[name]) for name in ("score", "acc_presence", "acc_salience")]
        rows.append([rating.name, *metrics, f"{100 * rating.blend_rate:.0f}%", alpha, beta, rating.note])
    used = [index for index in range(len(columns)) if any(row[index] not in (None, "") for row in rows)]
    print_table([columns[index] for index in used], [[row[index] for index in used] for row in rows])
    print_lines("in brackets: 95% interval", *found.notes)


def _interval(interval: object) -> str:
    low, high = interval.bounds()  # type: ignore[attr-defined]
    estimate = interval.estimate  # type: ignore[attr-defined]
    if estimate != estimate:
        return "not measured"
    return f"{estimate:.3f} [{low:.3f}, {high:.3f}]"
