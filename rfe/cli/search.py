"""`rfe search`: the main job, and what it would do."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rfe import api
from rfe.cli.command import INTERRUPTED, Settings, command
from rfe.cli.completion import complete_space, complete_study
from rfe.cli.options import Address, AsJson, DataOrKnown, Hours, Overrides, StudyName, Trials, Workers
from rfe.cli.output import print_heading, print_json, print_lines, print_settings, print_table, short_path, space_rows
from rfe.search.options import RunOptions

if TYPE_CHECKING:
    from rfe.search.outcome import StudyOutcome
    from rfe.search.plan import SearchPlan
    from rfe.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe search everything --data my-data --trials 100")(search)


@command
def search(
    settings: Settings,
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE",
            show_default=False,
            autocompletion=complete_space,
            help="A YAML file, or a ready-made space by name.",
        ),
    ],
    data: DataOrKnown = None,
    study: StudyName = None,
    trials: Trials = None,
    hours: Hours = None,
    workers: Workers = None,
    seed: Annotated[int | None, typer.Option(min=0, show_default=False, help="Of a new study; default 0.")] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            metavar="OLD",
            show_default=False,
            autocompletion=complete_study,
            help="Start a new study from the trials of study OLD.",
        ),
    ] = None,
    overrides: Overrides = None,
    address: Address = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run, and a time estimate.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search a space for the best model, or resume the study of that name.

    The same command again goes on where it was stopped; more --trials make a finished study larger.
    """
    workspace = settings.workspace()
    options = RunOptions(trials, hours, workers, seed, warm_start, address)
    with settings.progress() as progress:
        place: dict[str, Any] = {"study": study, "workspace": workspace, "progress": progress}
        if dry_run:
            plan = api.plan_search(space, data, options, overrides=overrides or (), **place)
            progress.close()
            print_json(plan.to_dict()) if as_json else print_plan(plan)
            return
        outcome = api.search(space, data, options, overrides=overrides or (), **place)
    finish(outcome, workspace, as_json=as_json)


def finish(outcome: "StudyOutcome", workspace: "Workspace", *, as_json: bool) -> None:
    """Print how a study ended; exit code 130 if it was interrupted."""
    if as_json:
        print_json(outcome.to_dict())
    else:
        print_outcome(outcome)
        print_next(outcome, workspace)
    if outcome.state == "stopped":
        raise typer.Exit(INTERRUPTED)


def print_outcome(outcome: "StudyOutcome") -> None:
    """Print the study's scores, each with its definition, and its best configuration."""
    from rfe.progress import duration
    from rfe.reporting.studies import changed_settings

    counts = ", ".join(f"{count} {state}" for state, count in outcome.trials.items() if count)
    print_heading(f"study {outcome.study}: {outcome.state}, {counts or 'no trial'} in {duration(outcome.elapsed_s)}")
    if outcome.reason:
        print_lines(outcome.reason)
    rows: list[list[object]] = []
    kinds = [
        (outcome.score_selected, "selected", "the result: each fold answered by the trial that is best on the others"),
        (outcome.score_best, "best", "one trial; optimistic, because it was chosen by this score"),
    ]
    if sum(outcome.trials.values()) == 1:
        kinds = [(outcome.score_best, "crossfit", "one configuration, cross-validated; nothing was chosen by it")]
    if outcome.best_config.get("protocol") == "official":
        kinds = [(outcome.score_best, "official", "optimistic: epoch and thresholds were chosen on the reported folds")]
    for one, which, note in kinds:
        if one is not None:
            rows.append([one.score, one.acc_presence, one.acc_salience, which, note])
    for confirmed in outcome.confirmed:
        seeds = f"{len(confirmed.seeds)} fresh seed" + "s" * (len(confirmed.seeds) != 1)
        spread = f", sd {confirmed.sd:.3f}" if len(confirmed.seeds) > 1 else ""
        note = f"trial {confirmed.number}: {seeds}{spread}; in the search {confirmed.search_score:.3f}"
        rows.append([confirmed.mean, None, None, "confirmed", note])
    if rows:
        print_table(["score", "presence", "salience", "estimate", "definition"], rows)
    if outcome.gain is not None:
        print_heading("what the search gained, by its own scores (all optimistic)")
        print_lines(*(f"  {sentence}" for sentence in outcome.gain.sentences()))
    if outcome.front:
        print_heading("Pareto front: no trial is better than these in everything")
        names = list(outcome.front[0].values)
        print_table(["trial", *names], [[one.number, *one.values.values()] for one in outcome.front])
    if outcome.best is not None:
        print_heading(f"best configuration: trial {outcome.best} (what is not shown is the default)")
        print_settings(changed_settings(outcome.best_config))
    print_lines(*(f"caveat: {sentence}" for sentence in outcome.caveats), *outcome.notes)


def print_next(outcome: "StudyOutcome", workspace: "Workspace") -> None:
    """Print where results are, and the next commands."""
    from rfe.secrets import redact_uri

    where = "" if workspace.mlflow_uri.startswith("sqlite") else f" at {redact_uri(workspace.mlflow_uri)}"
    print_lines("", f"trials: {short_path(outcome.folder)}, and MLflow experiment {outcome.study}{where}")
    if outcome.state == "stopped":
        print_lines("the same command goes on")
    elif outcome.best is not None:
        print_lines(f"next: rfe export {outcome.study}   rfe studies show {outcome.study}   rfe ui")


def print_plan(plan: "SearchPlan") -> None:
    """What `rfe search` would do."""
    from rfe.progress import duration, short_config

    print_heading(f"study {plan.study} on {plan.data}: a plan, nothing is started")
    print_lines(f"encoders: {', '.join(plan.encoders)}", *(f"caveat: {one}" for one in plan.caveats))
    print_table(["parameter", "values"], space_rows(plan.space))
    points = "infinitely many" if plan.points is None else f"{plan.points:,}"
    different = "" if plan.configurations in (None, plan.points) else f", {plan.configurations:,} configurations"
    print_lines(f"{points} points{different}; some of them:")
    print_lines(*(f"  {short_config(sample)}" for sample in plan.samples))
    print_lines(*plan.notes, *plan.expected)
    print_lines(", ".join(f"{name} {value}" for name, value in plan.settings.items()))
    budget = [f"{plan.trials} trials"] if plan.trials else []
    budget += [f"{plan.hours:g} hours"] if plan.hours else []
    print_lines(
        f"budget: {' or '.join(budget)}; {plan.models} models with the confirmation's",
        f"cost: about {duration(60 * plan.minutes)} with one worker of this machine, "
        f"{plan.memory_mb:.0f} MB for a configuration",
    )
