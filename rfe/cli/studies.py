"""`rfe studies list, show, diff`: what ran, and how far."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rfe import api
from rfe.cli import annotate, control, manage, watch
from rfe.cli.command import Settings, command
from rfe.cli.completion import complete_trial_or_confirmation
from rfe.cli.options import AsJson, DataOrKnown, Study, TrackingUri
from rfe.cli.output import (
    open_console,
    print_heading,
    print_json,
    print_lines,
    print_settings,
    print_table,
    space_rows,
)
from rfe.formatting import SIGNED, format_bounds, format_value
from rfe.secrets import redact_uri

if TYPE_CHECKING:
    from rfe.reporting.studies import StudyDetail, TrialLine
    from rfe.tracking.live import LiveStatus

NOT_COMPARED = "one trial, cross-validated: nothing was chosen by its score"

group = typer.Typer(no_args_is_help=True, help="What ran in this workspace, and how far.")


def register(app: typer.Typer) -> None:
    """Add the group to the program."""
    manage.register(group)
    control.register(group)
    annotate.register(group)
    watch.register_table(group)
    app.add_typer(group, name="studies")


@group.command("list", epilog="Example: rfe studies list")
@command
def list_(
    settings: Settings,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", show_default=False, help="Only studies with this tag; repeatable."),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            show_default=False, help="Only running, interrupted, finished, stopped, failed or damaged studies."
        ),
    ] = None,
    archived: Annotated[bool, typer.Option("--archived", help="List archived studies instead.")] = False,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """List the studies of the workspace (or of an MLflow server), most recently changed first."""
    workspace = settings.workspace()
    studies = api.list_studies(workspace, tracking_uri=tracking_uri, tags=tag or (), state=state, archived=archived)
    if as_json:
        print_json([study.to_dict() for study in studies])
        return
    if not studies:
        place = workspace.root if tracking_uri is None else redact_uri(tracking_uri)
        if tag or state or archived:
            print_lines(
                f"no such study in {place}; without options, `rfe studies list` shows all that are not archived"
            )
        else:
            print_lines(f"no studies in {place}; start with: rfe demo")
        return
    columns = ["study", "state", "data", "trials", "failed", "selected", "confirmed", "best (optimistic)", "changed"]
    annotated = [name for name in ("tags", "note") if any(getattr(one, name) for one in studies)]
    told = ["scores"] if any(one.transductive for one in studies) else []
    print_table(
        [*columns, *told, *annotated],
        [
            [
                one.name,
                one.state,
                one.data + (" (simulated)" if one.simulated else ""),
                sum(one.trials.values()),
                one.trials["failed"],
                one.score_selected if one.compared else one.score_best,
                one.score_confirmed,
                one.score_best if one.compared else None,
                f"{datetime.fromtimestamp(one.changed):%Y-%m-%d %H:%M}",
                *("transductive" if one.transductive else "" for _ in told),
                *(_first_line(getattr(one, name)) for name in annotated),
            ]
            for one in studies
        ],
    )
    if any(one.score_best is not None and not one.compared for one in studies):
        print_lines(f"{NOT_COMPARED}, so it stands under selected")
    print_lines(*(f"damaged: {one.problem}" for one in studies if one.problem))


@group.command(epilog="Example: rfe studies show demo --top 5 --sort acc_salience")
@command
def show(
    settings: Settings,
    study: Study,
    top: Annotated[int, typer.Option(min=1, help="How many trials.")] = 20,
    sort: Annotated[
        str, typer.Option(help="score, confirmed, acc_presence, acc_salience, seconds or number.")
    ] = "score",
    watch: Annotated[bool, typer.Option("--watch", help="First follow a running search until it ends.")] = False,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Show one study: how it goes if it runs, its settings, its space, its best trials."""
    workspace = settings.workspace()
    if watch:
        with settings.progress() as progress:
            api.watch_study(study, workspace, tracking_uri=tracking_uri, progress=progress)
    detail = api.show_study(study, workspace, top=top, sort=sort, tracking_uri=tracking_uri)
    if as_json:
        print_json(detail.to_dict())
        return
    one = detail.summary
    counts = ", ".join(f"{count} {state}" for state, count in one.trials.items() if count)
    print_heading(f"study {one.name}: {one.state}, {counts or 'no trial yet'}")
    if one.tags or one.archived:
        print_lines(", ".join([*one.tags, *(["(archived)"] if one.archived else [])]))
    if one.note:
        print_lines(one.note)
    if detail.live is not None:
        print_live(detail.live)
    print_settings(
        {"folder": one.folder, **{name: value for name, value in detail.settings.items() if value is not None}}
    )
    print_lines(*(f"caveat: {sentence}" for sentence in detail.caveats))
    print_table(["parameter", "values"], space_rows(detail.space))
    _print_changes(detail)
    _print_trials(detail.trials)
    if detail.front:
        print_heading(f"Pareto front of {' and '.join(detail.settings['objective'])}")
        _print_trials(detail.front)
    if one.compared:
        print_lines(f"the score of the best of many trials is optimistic; selected: {_score(one.score_selected)}")
    else:
        print_lines(NOT_COMPARED)


def _print_changes(detail: "StudyDetail") -> None:
    """What users changed of the study that its settings and its table of trials do not show."""
    from rfe.progress import short_config

    if detail.narrowed:
        print_lines(f"narrowed from trial {detail.narrowed_at} on; before:")
        print_table(["parameter", "values"], list(detail.narrowed.items()))
    if detail.queued:
        print_heading("queued by the user, tried next")
        rows = [
            [place, short_config(one.params), "" if one.retry_of is None else one.retry_of]
            for place, one in enumerate(detail.queued, 1)
        ]
        print_table(["", "values", "again"], rows)
    for number, reason in detail.pruned.items():
        print_lines(f"trial {number} will be pruned when the study resumes ({reason})")


def _print_trials(lines: "Sequence[TrialLine]") -> None:
    from rfe.progress import short_config

    columns = ["trial", "state", "score", "presence", "salience", "confirmed", "seconds", "values"]
    rows = []
    for line in lines:
        scores = [line.score, line.acc_presence, line.acc_salience, line.confirmed]
        seconds = "" if line.seconds is None else f"{line.seconds:.1f}"
        rows.append([line.number, line.state, *scores, seconds, line.reason or short_config(line.searched)])
    print_table(columns, rows)


def print_live(live: "LiveStatus") -> None:
    """What the process that works on a study says of itself."""
    from rfe.progress import duration, search_view

    where = f"process {live.pid} on {live.host}" if live.host else "another process"
    print_lines(f"{live.stage}: {where}, last sign of life {duration(live.silent_s)} ago")
    if live.search is not None:
        open_console().print(search_view("search", live.search))
    if live.done is not None and live.total:
        print_lines(f"{live.done} of {live.total}")


@group.command(epilog="Example: rfe studies diff demo 3 12:confirmed")
@command
def diff(
    settings: Settings,
    study: Study,
    first: Annotated[
        str,
        typer.Argument(
            metavar="A",
            show_default=False,
            autocompletion=complete_trial_or_confirmation,
            help="A trial, 12, or its confirmation, 12:confirmed.",
        ),
    ],
    second: Annotated[
        str,
        typer.Argument(
            metavar="B", show_default=False, autocompletion=complete_trial_or_confirmation, help="The other one."
        ),
    ],
    data: DataOrKnown = None,
    as_json: AsJson = False,
) -> None:
    """Compare two trials: parameters that differ, scores with the difference B - A and its interval, folds."""
    found = api.diff_trials(study, first, second, settings.workspace(), data=data)
    if as_json:
        print_json(found.to_dict())
        return
    print_heading(f"study {study}: A = trial {found.first}, B = trial {found.second}")
    parameters = [[name, format_value(one), format_value(other)] for name, (one, other) in found.parameters.items()]
    print_table(["parameter", "A", "B"], parameters or [["all are equal", "", ""]])
    rows = []
    for part, one in found.scores.items():
        difference, interval = format_value(one.difference, SIGNED), format_bounds(one.low, one.high, SIGNED)
        rows.append([part, one.first, one.second, difference, interval, one.p_value])
    columns = ["", "A", "B", "B - A", "95% interval", "p"]
    shown = len(columns) if any(row[-1] is not None for row in rows) else len(columns) - 1  # the notes say why not
    print_table(columns[:shown], [row[:shown] for row in rows])
    folds = [[fold, one, other, format_value(other - one, SIGNED)] for fold, (one, other) in found.folds.items()]
    if folds:
        print_table(["fold", "A", "B", "B - A"], folds)
    print_lines(*found.notes)


def _first_line(value: str | tuple[str, ...]) -> str:
    """Tags, or the first line of a note."""
    return ", ".join(value) if isinstance(value, tuple) else value.partition("\n")[0]


def _score(score: float | None) -> str:
    return "not known before the study ends" if score is None else f"{score:.3f}"
