"""The studies of a workspace, or of a tracking server: listed, shown, compared, repaired, pulled, deleted."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rfe.errors import ConfigError, StudyError
from rfe.extras import needs
from rfe.progress import Progress, SilentProgress
from rfe.secrets import redact_uri
from rfe.workspace import StudyFolder, Workspace, open_workspace
from rfe.writing import PlainRecord

if TYPE_CHECKING:
    from rfe.reporting.difference import TrialDifference
    from rfe.reporting.studies import StudyDetail
    from rfe.reporting.summaries import StudySummary
    from rfe.search.repair import RepairReport


def list_studies(
    workspace: Workspace | None = None,
    *,
    tracking_uri: str | None = None,
    tags: Sequence[str] = (),
    state: str | None = None,
    archived: bool = False,
) -> list[StudySummary]:
    """List the studies of the workspace, or of a tracking server, most recently changed first.

    Args:
        workspace: whose studies; None: as the command line finds it.
        tracking_uri: of an MLflow, in the workspace's place.
        tags: only studies that have all of these.
        state: only studies at this state, e.g. `running`.
        archived: the archived studies, which are left out otherwise.

    Raises:
        ConfigError: there is no such state.
        StudyError: MLflow does not answer.

    Examples:
        >>> [(study.name, study.state) for study in rfe.api.list_studies()]
        [('first', 'stopped'), ('other', 'interrupted')]
    """
    from rfe.reporting.summaries import select_studies, summarize_remote, summarize_study

    workspace = workspace or open_workspace()
    if tracking_uri is not None:
        from rfe.tracking.mlflow_server import open_server
        from rfe.tracking.remote import list_remote

        remote = workspace.tracked_at(tracking_uri)
        with open_server(remote) as server:
            shown = [summarize_remote(study, redact_uri(remote.mlflow_uri)) for study in list_remote(server)]
        return select_studies(shown, tags=tags, state=state, archived=archived)
    local = [summarize_study(workspace.study(name)) for name in workspace.study_names()]
    summaries = sorted(local, key=lambda summary: -summary.changed)
    return select_studies(summaries, tags=tags, state=state, archived=archived)


@needs("search")
def show_study(
    name: str,
    workspace: Workspace | None = None,
    *,
    top: int = 20,
    sort: str = "score",
    tracking_uri: str | None = None,
) -> StudyDetail:
    """One study with its best trials, from its folder or from a tracking server; see `rfe.reporting.studies`.

    Examples:
        >>> best = rfe.api.show_study("first").trials[0]
        >>> best.number, best.state
        (4, 'complete')
    """
    from rfe.reporting.studies import describe_remote, describe_study
    from rfe.workspace import find_study

    workspace = workspace or open_workspace()
    if tracking_uri is None:
        return describe_study(find_study(workspace, name), top=top, sort=sort)
    from rfe.tracking.mlflow_server import open_server
    from rfe.tracking.remote import fetch_books, find_remote

    remote = workspace.tracked_at(tracking_uri)
    with open_server(remote) as server, tempfile.TemporaryDirectory(prefix="rfe-") as scratch:
        study = find_remote(server, name)
        with fetch_books(server, study, Path(scratch)) as folder:
            return describe_remote(study, folder, redact_uri(remote.mlflow_uri), top=top, sort=sort)


@needs("search")
def repair_study(name: str, workspace: Workspace | None = None, *, progress: Progress | None = None) -> RepairReport:
    """Bring MLflow in line with a study's journal, and find damaged files; see `rfe.search.repair`."""
    from rfe.search.repair import repair_study as repair

    workspace = workspace or open_workspace()
    return repair(workspace, _idle_study(workspace, name), progress or SilentProgress())


@dataclass(frozen=True)
class RepairedStudies(PlainRecord):
    """What `repair_studies` did."""

    reports: tuple[RepairReport, ...]
    """Of each study that could be repaired."""
    refused: dict[str, str]
    """Study -> why it could not be."""


def repair_studies(workspace: Workspace | None = None, *, progress: Progress | None = None) -> RepairedStudies:
    """As `repair_study`, all studies of the workspace one after the other; one that is refused stops no other."""
    workspace = workspace or open_workspace()
    reports, refused = [], {}
    for name in workspace.study_names():
        try:
            reports.append(repair_study(name, workspace, progress=progress))
        except StudyError as error:
            refused[name] = str(error)
    return RepairedStudies(tuple(reports), refused)


@dataclass(frozen=True)
class OptunaFile(PlainRecord):
    """What `export_optuna` wrote."""

    study: str
    file: str
    trials: int
    """Trials in it, those of a warm start too."""


def export_optuna(name: str, output: Path | str, workspace: Workspace | None = None) -> OptunaFile:
    """Write a study as a storage file of Optuna's, which its dashboard opens; rfe itself reads no such file.

    Args:
        name: of the study, which may be running.
        output: a file that is not there yet; one that ends in `.db`, `.sqlite` or `.sqlite3` becomes a SQLite database,
            any other Optuna's journal file.
        workspace: where the study is.

    Raises:
        ConfigError: the file is there already, or its folder cannot be made.
        StudyError: no such study, or its journal is damaged.

    Examples:
        >>> rfe.api.export_optuna("first", "first.log").trials
        8
    """
    from rfe.study.rebuild import write_optuna
    from rfe.workspace import find_study

    file = Path(output).expanduser().absolute()
    return OptunaFile(name, str(file), write_optuna(find_study(workspace or open_workspace(), name), file))


@dataclass(frozen=True)
class PulledStudy(PlainRecord):
    """What `pull_study` brought."""

    study: str
    folder: str
    missing: int
    """Files of trials that the server does not have."""


def pull_study(
    name: str,
    workspace: Workspace | None = None,
    *,
    tracking_uri: str | None = None,
    storage: str | None = None,
    progress: Progress | None = None,
) -> PulledStudy:
    """Rebuild a study's folder from MLflow alone, or from its mirror; see `rfe.tracking.remote` and `.mirror`.

    Args:
        name: of the study.
        workspace: where the folder goes.
        tracking_uri: of the MLflow that the search logged to; None: the workspace's own.
        storage: the study's `storage`; MLflow is not asked then.
        progress: told of each trial.

    Raises:
        ConfigError: both are named.
        StudyError: there is nothing to pull, or the folder here has entries that the pulled one does not have.
    """
    from rfe.reporting.running import find_running
    from rfe.tracking.mirror import pull_mirror

    if storage is not None and tracking_uri is not None:
        raise ConfigError("--storage and --tracking-uri: a study is pulled from one place; leave one out")
    workspace = workspace or open_workspace()
    if find_running(workspace.study(name)) is not None:
        raise StudyError(
            f"study {name!r} is being worked on in {workspace.study(name).path}; pull into another --workspace"
        )
    if storage is not None:
        pull_mirror(workspace.study(name), storage)
        return PulledStudy(name, str(workspace.study(name).path), 0)
    from rfe.tracking.mlflow_server import open_server
    from rfe.tracking.remote import pull_study as pull

    remote = workspace.tracked_at(tracking_uri)
    with open_server(remote) as server:
        folder, missing = pull(server, name, remote, progress or SilentProgress())
    return PulledStudy(name, str(folder.path), missing)


def diff_trials(
    name: str, first: str, second: str, workspace: Workspace | None = None, *, data: Path | str | None = None
) -> TrialDifference:
    """Compare two trials (`12`) or confirmations (`12:confirmed`) of a study; see `rfe.reporting.difference`.

    Examples:
        >>> difference = rfe.api.diff_trials("first", "0", "1", data="my-data")
        >>> list(difference.to_dict())
        ['study', 'first', 'second', 'parameters', 'scores', 'folds', 'notes']
    """
    from rfe.journal.study import read_journal
    from rfe.reporting.difference import diff_trials as diff
    from rfe.workspace import find_study

    journal = read_journal(find_study(workspace or open_workspace(), name))
    known = journal.study.settings.get("data.path")
    place = data or known
    return diff(journal, first, second, None if place is None else Path(place))


@dataclass(frozen=True)
class DeletedStudy(PlainRecord):
    """What `delete_study` removed."""

    study: str
    folder: str
    runs: bool
    """Whether its MLflow experiment was marked deleted."""
    ensembles: tuple[str, ...] = ()
    """Those that had trials of it as members, and cannot be exported without it."""


@needs("search")
def delete_study(name: str, workspace: Workspace | None = None, *, keep_runs: bool = False) -> DeletedStudy:
    """Remove a study's folder and mark its MLflow experiment deleted, which MLflow can undo.

    Raises:
        StudyError: no such study, a process works on it, or MLflow does not answer (then nothing is removed).
    """
    from rfe.ensemble.stored import ensembles_with

    workspace = workspace or open_workspace()
    folder = _idle_study(workspace, name)
    marked, ensembles = False, ensembles_with(workspace, name)
    if not keep_runs:
        from rfe.tracking.database import is_missing_database
        from rfe.tracking.mlflow_server import open_server

        if not is_missing_database(workspace.mlflow_uri):
            with open_server(workspace) as server:
                marked = server.delete_experiment(name)
    gone = folder.path.with_name(f".{name}.deleted")  # renamed first: a half-deleted study is none
    shutil.rmtree(gone, ignore_errors=True)
    folder.path.rename(gone)
    shutil.rmtree(gone)
    return DeletedStudy(name, str(folder.path), marked, ensembles)


def _idle_study(workspace: Workspace, name: str) -> StudyFolder:
    from rfe.reporting.running import find_running
    from rfe.workspace import find_folder

    folder = find_folder(workspace, name)
    live = find_running(folder)
    if live is not None:
        where = f" by process {live.pid} on {live.host}" if live.host else ""
        raise StudyError(f"study {name!r} is being worked on{where}; stop it first: rfe studies stop {name} --wait")
    return folder
