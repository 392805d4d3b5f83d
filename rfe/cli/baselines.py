"""`rfe baselines`: what a search must beat on a data set."""

from typing import Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.completion import complete_encoder
from rfe.cli.options import AsJson, Data
from rfe.cli.output import print_json, print_lines, print_table

PROTOCOLS = {
    "crossfit": "selected: each fold is answered by the candidate that is best on the other folds",
    "official": "protocol official: thresholds and epoch are chosen on the reported fold, as published tables do "
    "(optimistic)",
}
"""What is printed below a table that has such rows."""
CONFIRMED = (
    "confirmed: the best candidate trained again with fresh seeds. Compare a study's numbers with those of the same "
    "name: selected with selected, confirmed with confirmed"
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe baselines --data my-data --only logistic_regression --only late_fusion")(baselines)


@command
def baselines(
    settings: Settings,
    data: Data,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", show_default=False, help="Just this baseline; repeatable."),
    ] = None,
    encoders: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            metavar="NAME",
            show_default=False,
            autocompletion=complete_encoder,
            help="Just this encoder; repeatable.",
        ),
    ] = None,
    target_actors: Annotated[
        str, typer.Option(help="What is known of held-out clips' actors: auto, known, pseudo or unknown.")
    ] = "auto",
    confirm: Annotated[
        int, typer.Option(min=0, help="Fresh seeds that train each one's best candidate again; 0 for none.")
    ] = 5,
    as_json: AsJson = False,
) -> None:
    """Train every baseline and score it under crossfit; the organisers' own also under their optimistic protocol.

    Each has a few candidates (learning rate or C, standardisation, decoder), chosen by the same rule as a study's.
    Minutes on small data; the organisers' 200 epochs are most of it, and can be left out with --only.
    """
    with settings.progress() as progress:
        rows = api.baselines(
            data,
            only=only,
            encoders=encoders,
            target_actors=target_actors,
            confirm=confirm,
            workspace=settings.workspace(),
            progress=progress,
        )
    if as_json:
        print_json([row.to_dict() for row in rows])
        return
    columns = ["baseline", "protocol", "selected", "presence", "salience"]
    columns += ["confirmed", "best (optimistic)", "candidates"]
    print_table(
        columns,
        [
            [
                row.name,
                row.protocol,
                row.selected.score,
                row.selected.acc_presence,
                row.selected.acc_salience,
                None if row.confirmed is None else row.confirmed.score,
                row.best.score,
                str(row.n_candidates),
            ]
            for row in rows
        ],
    )
    protocols = {row.protocol for row in rows}
    print_lines(*(explained for protocol, explained in PROTOCOLS.items() if protocol in protocols))
    if any(row.confirmed is not None for row in rows):
        print_lines(CONFIRMED)
