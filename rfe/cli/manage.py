"""`rfe studies stop, resume, repair, pull, optuna, delete`: what is done to a study that is there."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rfe import api
from rfe.cli.command import INTERRUPTED, Settings, command
from rfe.cli.completion import complete_study
from rfe.cli.options import Address, AsJson, DataOrKnown, Hours, Study, TrackingUri, Trials, Workers
from rfe.cli.output import print_json, print_lines, print_table, short_path
from rfe.cli.search import finish
from rfe.errors import ConfigError, StudyError
from rfe.search.options import RunOptions

if TYPE_CHECKING:
    from rfe.search.repair import RepairReport


def register(group: typer.Typer) -> None:
    """Add the commands to `rfe studies`."""
    group.command(epilog="Example: rfe studies stop demo --wait")(stop)
    group.command(epilog="Example: rfe studies resume demo --trials 200")(resume)
    group.command(epilog="Example: rfe studies repair demo")(repair)
    group.command(epilog="Example: rfe studies pull demo --tracking-uri http://tracking.example:5000")(pull)
    group.command(epilog="Example: rfe studies optuna demo -o demo.db")(optuna)
    group.command(epilog="Example: rfe studies delete demo --yes")(delete)


@command
def stop(
    settings: Settings,
    study: Study,
    tracking_uri: TrackingUri = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it has stopped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop a running search as Ctrl-C would: finished trials are kept, and the study can be resumed.

    With --tracking-uri it is asked through MLflow, from any machine; that takes some seconds more.
    """
    with settings.progress() as progress:
        asked = api.stop_study(study, settings.workspace(), tracking_uri=tracking_uri, wait=wait, progress=progress)
    if as_json:
        print_json(asked.to_dict())
        return
    said = "has stopped" if asked.ended else "was asked to stop, and does so within seconds"
    print_lines(
        f"study {study}: process {asked.pid} on {asked.host} {said}",
        f"resume it with: rfe studies resume {study}",
    )


@command
def resume(
    settings: Settings,
    study: Study,
    data: DataOrKnown = None,
    trials: Trials = None,
    hours: Hours = None,
    workers: Workers = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Resume a study from its folder, as running the same `rfe search` again would."""
    workspace, options = settings.workspace(), RunOptions(trials, hours, workers, address=address)
    with settings.progress() as progress:
        outcome = api.resume_study(study, data, options, workspace=workspace, progress=progress)
    finish(outcome, workspace, as_json=as_json)


@command
def repair(
    settings: Settings,
    study: Annotated[
        str | None,
        typer.Argument(metavar="STUDY", show_default=False, autocompletion=complete_study, help="Name of the study."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All studies of the workspace, in place of STUDY.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring MLflow in line with a study's journal, and list damaged trial files.

    A healthy study is left as it is.
    """
    if (study is None) != every:
        raise ConfigError("rfe studies repair: name one study, or give --all for every study of the workspace")
    with settings.progress() as progress:
        if study is not None:
            report = api.repair_study(study, settings.workspace(), progress=progress)
        else:
            repaired = api.repair_studies(settings.workspace(), progress=progress)
    if study is not None:
        print_json(report.to_dict()) if as_json else _show_repairs(report)
        return
    if as_json:
        print_json(repaired.to_dict())
    else:
        for report in repaired.reports:
            _show_repairs(report)
    if repaired.refused:
        raise StudyError("not repaired: " + "; ".join(repaired.refused.values()))


def _show_repairs(report: "RepairReport") -> None:
    study = report.study
    if report.repairs:
        rows = [[one.where, one.found, one.done] for one in report.repairs]
        print_lines(f"study {study}:")
        print_table(["where", "found", "done"], rows)
    else:
        print_lines(f"study {study}: journal, files and MLflow agree; nothing to repair")
    if report.adoptable:
        print_lines(f"{len(report.adoptable)} trials had not ended; they are trained by: rfe studies resume {study}")
    if report.left:
        print_lines(report.left)


@command
def pull(
    settings: Settings,
    study: Study,
    tracking_uri: TrackingUri = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="PATH-or-URI", show_default=False, help="The search's `storage`, in MLflow's place."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild a study's folder on this machine from MLflow, so that show, export and resume work here."""
    workspace = settings.workspace()
    with settings.progress() as progress:
        pulled = api.pull_study(study, workspace, tracking_uri=tracking_uri, storage=storage, progress=progress)
    if as_json:
        print_json(pulled.to_dict())
        return
    print_lines(f"study {study} is in {short_path(pulled.folder)}")
    if pulled.missing:
        print_lines(f"{pulled.missing} files of its trials are not in MLflow (yet); while it runs, pull again later")
    print_lines(f"next: rfe studies show {study}   rfe export {study} --data DIR")


@command
def optuna(
    settings: Settings,
    study: Study,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", show_default=False, help="NAME.db: SQLite; else a log.")
    ],
    as_json: AsJson = False,
) -> None:
    """Write a study as a storage file of Optuna's, which optuna-dashboard opens.

    It holds the trials as they are now; rfe itself never reads it.
    """
    written = api.export_optuna(study, output, settings.workspace())
    if as_json:
        print_json(written.to_dict())
        return
    path = short_path(written.file)
    print_lines(f"{written.trials} trials of study {study} are in {path}", f"next: optuna-dashboard {path}")


@command
def delete(
    settings: Settings,
    study: Study,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    keep_runs: Annotated[bool, typer.Option("--keep-runs", help="Leave its runs in MLflow as they are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a study's folder, and mark its MLflow experiment deleted (`mlflow experiments restore` undoes that)."""
    if not yes:
        _ask(study, settings)
    deleted = api.delete_study(study, settings.workspace(), keep_runs=keep_runs)
    if as_json:
        print_json(deleted.to_dict())
        return
    runs = "its MLflow experiment is marked deleted" if deleted.runs else "nothing was changed in MLflow"
    print_lines(f"{short_path(deleted.folder)} is removed; {runs}")
    if deleted.ensembles:
        print_lines(
            f"{_name_ensembles(deleted.ensembles)} had trials of it and cannot be exported, unless `rfe studies pull "
            f"{study}` brings it back from MLflow"
        )


def _ask(study: str, settings: Settings) -> None:
    from rfe.ensemble.stored import ensembles_with

    broken = ensembles_with(settings.workspace(), study)
    with_it = f", without which {_name_ensembles(broken)} cannot be exported" if broken else ""
    if not sys.stdin.isatty():
        raise ConfigError(
            f"study {study!r} would be deleted{with_it}, and there is no terminal to ask at; add --yes to do it"
        )
    if not typer.confirm(f"Delete study {study} with all its trials{with_it}?", err=True):
        raise typer.Exit(INTERRUPTED)


def _name_ensembles(names: Sequence[str]) -> str:
    return f"ensemble{'s' * (len(names) > 1)} {', '.join(names)}"
