"""`rfe studies`: what ran, and how far."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.options import AsJson
from rfe.cli.output import print_heading, print_json, print_lines, print_settings, print_table, space_rows

if TYPE_CHECKING:
    from rfe.reporting.studies import TrialLine

group = typer.Typer(no_args_is_help=True, help="What ran in this workspace, and how far.")


def register(app: typer.Typer) -> None:
    """Add the group to the program."""
    app.add_typer(group, name="studies")


@group.command("list", epilog="Example: rfe studies list")
@command
def list_(settings: Settings, as_json: AsJson = False) -> None:
    """List the studies of the workspace, the one changed last first."""
    workspace = settings.workspace()
    studies = api.list_studies(workspace)
    if as_json:
        print_json([study.to_dict() for study in studies])
        return
    if not studies:
        print_lines(f"no studies in {workspace.root}; begin with: rfe demo")
        return
    columns = ["study", "state", "data", "trials", "failed", "selected", "confirmed", "best (optimistic)", "changed"]
    print_table(
        columns,
        [
            [
                one.name,
                one.state,
                one.data + (" (simulated)" if one.simulated else ""),
                sum(one.trials.values()),
                one.trials["failed"],
                one.score_selected,
                one.score_confirmed,
                one.score_best,
                f"{datetime.fromtimestamp(one.changed):%Y-%m-%d %H:%M}",
            ]
            for one in studies
        ],
    )


@group.command(epilog="Example: rfe studies show demo --top 5 --sort acc_salience")
@command
def show(
    settings: Settings,
    study: Annotated[str, typer.Argument(metavar="STUDY", show_default=False, help="Name of the study.")],
    top: Annotated[int, typer.Option(min=1, help="How many trials.")] = 20,
    sort: Annotated[
        str, typer.Option(help="score, confirmed, acc_presence, acc_salience, seconds or number.")
    ] = "score",
    as_json: AsJson = False,
) -> None:
    """Show one study: its settings, its space, its best trials."""
    detail = api.show_study(study, settings.workspace(), top=top, sort=sort)
    if as_json:
        print_json(detail.to_dict())
        return
    one = detail.summary
    counts = ", ".join(f"{count} {state}" for state, count in one.trials.items() if count)
    print_heading(f"study {one.name}: {one.state}, {counts or 'no trial yet'}")
    print_settings({"folder": one.folder, **detail.settings})
    print_lines(*(f"caveat: {sentence}" for sentence in detail.caveats))
    print_table(["parameter", "values"], space_rows(detail.space))
    _print_trials(detail.trials)
    if detail.front:
        print_heading(f"Pareto front of {' and '.join(detail.settings['objective'])}")
        _print_trials(detail.front)
    print_lines("the score of the best of many trials is optimistic; selected: " + (_score(one.score_selected)))


def _print_trials(lines: "Sequence[TrialLine]") -> None:
    from rfe.progress import short_config

    columns = ["trial", "state", "score", "presence", "salience", "confirmed", "seconds", "values"]
    rows = []
    for line in lines:
        scores = [line.score, line.acc_presence, line.acc_salience, line.confirmed]
        seconds = "" if line.seconds is None else f"{line.seconds:.1f}"
        rows.append([line.number, line.state, *scores, seconds, line.reason or short_config(line.searched)])
    print_table(columns, rows)


def _score(score: float | None) -> str:
    return "not known before the study ends" if score is None else f"{score:.3f}"
