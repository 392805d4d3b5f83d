"""`rfe studies add, prune, change, narrow, retry`: what can be changed of a study, also while it runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.completion import complete_trial
from rfe.cli.options import AsJson, Hours, Overrides, Study, Trials
from rfe.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from rfe.search.control import RequestAnswer


def register(group: typer.Typer) -> None:
    """Add the commands to `rfe studies`."""
    group.command(epilog="Example: rfe studies add demo --set train.lr=0.001 --first")(add)
    group.command(epilog='Example: rfe studies prune demo --where "score < .3 and epoch > 5"')(prune)
    group.command(epilog="Example: rfe studies change demo --trials 200 --workers 2")(change)
    group.command(epilog="Example: rfe studies narrow demo --space smaller.yaml")(narrow)
    group.command(epilog="Example: rfe studies retry demo --failed")(retry)


@command
def add(
    settings: Settings,
    study: Study,
    overrides: Overrides = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", show_default=False, help="A whole configuration, as YAML."),
    ] = None,
    first: Annotated[bool, typer.Option("--first", help="Ahead of other queued configurations.")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue a configuration into a running or stopped study; it is tried next.

    What --set leaves out is sampled; what --config leaves out is as in the study's base.
    """
    answer = api.add_trial(study, overrides or (), config=config, first=first, workspace=settings.workspace())
    _print(answer, as_json)


@command
def prune(
    settings: Settings,
    study: Study,
    trials: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[TRIAL]...", show_default=False, autocompletion=complete_trial, help="Numbers of open trials."
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            show_default=False,
            help="End the open trials that match: number, score, epoch, seconds, or a field of the configuration.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """End trials of a study as pruned; the others continue."""
    answer = api.prune_trials(study, trials or (), where=where, workspace=settings.workspace())
    _print(answer, as_json)


@command
def change(
    settings: Settings,
    study: Study,
    trials: Trials = None,
    hours: Hours = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, show_default=False, help="Number of workers from now on.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a study's budget and its workers while it runs: give GPUs back, and take them again.

    Workers that go save what they train at the next epoch and give it back. A change holds until another command asks
    for something else.
    """
    answer = api.change_study(study, trials=trials, hours=hours, workers=workers, workspace=settings.workspace())
    _print(answer, as_json)


@command
def narrow(
    settings: Settings,
    study: Study,
    space: Annotated[
        Path | None,
        typer.Option("--space", metavar="FILE", show_default=False, help="The smaller space; default the study's own."),
    ] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Search a smaller space from now on; earlier trials inside it still inform the sampler.

    Trials outside stay in the study. A space that is not narrower in every parameter is refused.
    """
    answer = api.narrow_study(study, space, overrides or (), workspace=settings.workspace())
    _print(answer, as_json)


@command
def retry(
    settings: Settings,
    study: Study,
    trials: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[TRIAL]...", show_default=False, autocompletion=complete_trial, help="Numbers of failed trials."
        ),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All failed trials that were not retried yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Try failed trials again, under new numbers; the failed ones stay in the study."""
    answer = api.retry_trials(study, trials or (), failed=failed, workspace=settings.workspace())
    _print(answer, as_json)


def _print(answer: "RequestAnswer", as_json: bool) -> None:
    if as_json:
        print_json(answer.to_dict())
        return
    print_lines(f"study {answer.study}: {answer.said}")
    if not answer.running:
        print_lines(f"it is not running; resume it with: rfe studies resume {answer.study}")
    if answer.left:
        print_lines(answer.left)
