"""`rfe ensemble`: members and weights from the logged outputs of trials."""

from math import isfinite
from typing import Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.completion import complete_study
from rfe.cli.options import AsJson, DataOrKnown
from rfe.cli.output import print_heading, print_json, print_lines, print_table, short_path, show_bounds
from rfe.formatting import SIGNED, format_value


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe ensemble everything top-n --name final")(ensemble)


@command
def ensemble(
    settings: Settings,
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY...", show_default=False, autocompletion=complete_study, help="Studies on the same data."
        ),
    ],
    name: Annotated[
        str | None, typer.Option(show_default=False, help="Name of the ensemble; default STUDY-ensemble.")
    ] = None,
    method: Annotated[str, typer.Option(help="greedy, top_k, nnls, likelihood or single.")] = "greedy",
    members: Annotated[
        int, typer.Option(min=1, help="greedy: steps of the selection; top_k: members of equal weight.")
    ] = 20,
    candidates: Annotated[int, typer.Option(min=1, help="How many of the best trials to consider.")] = 60,
    bags: Annotated[int, typer.Option(min=1, help="greedy: selections on random halves, averaged.")] = 20,
    separate_heads: Annotated[
        bool, typer.Option("--separate-heads", help="Weight presence and salience separately.")
    ] = False,
    decode: Annotated[
        str,
        typer.Option(
            help="states: averaged distributions, expected score; design: the same, all clips of an actor together "
            "(transductive); official: averaged q, two thresholds."
        ),
    ] = "states",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the bags.")] = 0,
    data: DataOrKnown = None,
    as_json: AsJson = False,
) -> None:
    """Choose an ensemble of trials by their out-of-fold outputs, and estimate its score by nested evaluation.

    The nested score answers each fold with what was chosen without that fold's labels.
    """
    from rfe.ensemble.selection import Selection, find_decoding, find_method

    how = Selection(
        find_method(method),
        members,
        candidates,
        bags,
        separate_heads=separate_heads,
        seed=seed,
        decoding=find_decoding(decode),
    )
    with settings.progress() as progress:
        built = api.ensemble(studies, data, name=name, selection=how, workspace=settings.workspace(), progress=progress)
    if as_json:
        print_json(built.to_dict())
        return
    result = built.result
    print_heading(f"ensemble {built.name}: {len(result.ensemble.members)} members of {result.n_candidates} candidates")
    print_lines(*(f"caveat: {sentence}" for sentence in built.caveats))
    how_answered = ", transductive" if how.decoding == "design" else ""
    rows = [
        (f"Score, nested{how_answered}", result.nested["score"]),
        ("presence, nested", result.nested["acc_presence"]),
        ("salience, nested", result.nested["acc_salience"]),
        ("Score of the best single trial, nested", result.single),
        ("ensemble less best single trial, paired", result.difference),
    ]
    rows = [(name, one) for name, one in rows if isfinite(one.estimate)]  # a task may ask no ratio
    print_table(
        ["", "value", "95% interval"],
        [
            *(
                [
                    label,
                    format_value(one.estimate, SIGNED if one.paired else ""),
                    show_bounds(one),
                ]
                for label, one in rows
            ),
            ["Score on the clips it was chosen by (in-sample)", result.in_sample, ""],
        ],
    )
    columns = ["study", "trial", "weight", "trial's own score", *(["salience weight"] if how.separate_heads else [])]
    print_table(
        columns,
        [
            [
                one.candidate.study,
                str(one.candidate.number),
                f"{one.weight:.3f}",
                one.candidate.score,
                *([f"{one.ratio_weight:.3f}"] if how.separate_heads else []),
            ]
            for one in result.ensemble.members
        ],
    )
    lower, upper = result.difference.bounds()
    print_lines(
        "nested: each fold is answered by what was chosen without its labels; intervals are over actors"
        + ("; the difference's includes 0: no difference" if lower <= 0 <= upper else ""),
        "in-sample: no estimate for new clips; it may also lie below the nested score, which other members answer",
        *result.nested["score"].notes,
        *([result.one_member] if result.one_member else []),
        *([built.note] if built.note else []),
        f"kept in {short_path(built.folder)}" + (", the selection's steps in trajectory.png" * bool(result.trajectory)),
        f"next: rfe export {built.name}",
    )
