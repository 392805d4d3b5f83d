"""`rfe train`: one configuration, cross-validated."""

from typing import Annotated

import typer

from rfe import api
from rfe.cli.command import Settings, command
from rfe.cli.completion import complete_configuration, complete_study, complete_trial
from rfe.cli.options import Address, AsJson, DataOrKnown, Overrides, StudyName, Workers
from rfe.cli.search import finish


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(epilog="Example: rfe train baselines/concat_mlp --data my-data -s train.lr=5e-5")(train)


@command
def train(
    settings: Settings,
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="CONFIG",
            show_default=False,
            autocompletion=complete_configuration,
            help="A YAML file, or a ready-made one by name.",
        ),
    ] = None,
    data: DataOrKnown = None,
    from_study: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="STUDY",
            show_default=False,
            autocompletion=complete_study,
            help="Take a trial's configuration.",
        ),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", show_default=False, autocompletion=complete_trial, help="Which trial."),
    ] = None,
    study: StudyName = None,
    workers: Workers = None,
    overrides: Overrides = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Cross-validate one configuration: a study of one trial, named like the file, that can be shown and exported."""
    workspace = settings.workspace()
    with settings.progress() as progress:
        outcome = api.train(
            config,
            data,
            from_study=from_study,
            trial=trial,
            study=study,
            workers=workers,
            address=address,
            overrides=overrides or (),
            workspace=workspace,
            progress=progress,
        )
    finish(outcome, workspace, as_json=as_json)
