"""Studies on a tracking server: their state, stopping them, and rebuilding their folders."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rfe.errors import StudyError
from rfe.journal.events import ConfirmationLog, TrialLog
from rfe.journal.records import read_events
from rfe.progress import Progress
from rfe.secrets import redact_uri
from rfe.suggestions import unknown
from rfe.tracking.annotations import keep_later_annotations
from rfe.tracking.gaps import began, is_of_study
from rfe.tracking.live import LIVE_TAG, SESSION_TAG, STOP_TAG, LiveStatus, is_left_behind
from rfe.tracking.mirror import check_replaceable
from rfe.workspace import StudyFolder, Workspace
from rfe.writing import cut_torn_line, replace_folder, write_json

if TYPE_CHECKING:
    from rfe.tracking.mlflow_server import MlflowServer  # seconds of imports, which lists of local studies do without


@dataclass(frozen=True)
class RemoteStudy:
    """The study's own run."""

    name: str
    run_id: str
    status: str
    """RUNNING, FINISHED, KILLED or FAILED."""
    tags: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def session(self) -> str:
        """The session that searches it, or did last."""
        return self.tags.get(SESSION_TAG, "")

    @property
    def running(self) -> bool:
        """Whether a process works on it, as far as can be told remotely."""
        return self.status == "RUNNING" and not is_left_behind(self.tags)

    @property
    def state(self) -> str:
        """`running`, `interrupted`, `finished`, `stopped` or `failed`."""
        told = self.tags.get("rfe.state", "interrupted")
        return "running" if self.running else "interrupted" if told == "running" else told

    @property
    def refreshed(self) -> float:
        """Time of its last update, seconds since 1970."""
        return float(self.tags.get("rfe.refreshed", 0.0))

    @property
    def live(self) -> LiveStatus | None:
        """The driver's last status; None if it does not run."""
        return LiveStatus.of_text(self.tags.get(LIVE_TAG, "")) if self.running else None


def list_remote(server: "MlflowServer") -> list[RemoteStudy]:
    """List all studies of the server, most recently updated first."""
    found = [
        RemoteStudy(run.tags["rfe.study"], run.run_id, run.status, run.tags, run.metrics) for run in server.study_runs()
    ]
    return sorted(found, key=lambda study: -study.refreshed)


def find_remote(server: "MlflowServer", name: str) -> RemoteStudy:
    """The study called `name`.

    Raises:
        StudyError: not found; suggests the closest name.
    """
    studies = {study.name: study for study in reversed(list_remote(server))}
    if name not in studies:
        experiment = server.look_up(name)
        if experiment is not None and experiment[1]:
            raise StudyError(
                f"--tracking-uri: the experiment of study {name!r} is deleted in MLflow; `mlflow experiments restore "
                f"--experiment-id {experiment[0]}` undoes that, and `rfe studies repair {name}` where its folder is"
            )
        if experiment is not None and server.has_deleted_run(experiment[0], name):
            raise StudyError(
                f"--tracking-uri: the run of study {name!r} is deleted in MLflow; restore it on the experiment's page "
                f"(state: deleted), or write it again with `rfe studies repair {name}` where the study's folder is"
            )
        raise StudyError(f"--tracking-uri: {unknown('study', name, studies)}")
    return studies[name]


def ask_to_stop(server: "MlflowServer", study: RemoteStudy) -> None:
    """Tag the run with a request to stop, which the study's driver checks every few seconds."""
    server.log(study.run_id, tags={STOP_TAG: study.session})


@contextmanager
def fetch_books(server: "MlflowServer", study: RemoteStudy, beside: Path) -> Iterator[StudyFolder]:
    """The study's journal, definition and outcome without its trials' files, in a folder that is removed afterwards.

    Args:
        beside: the folder in which that one is made.

    Raises:
        StudyError: the server lacks one of them, as in the first minutes of a study.
    """
    folder = StudyFolder(beside / f".{study.name}.pulled" / study.name)
    shutil.rmtree(folder.path.parent, ignore_errors=True)  # of a pull that was killed
    try:
        _download_books(server, study, folder)
        yield folder
    finally:
        shutil.rmtree(folder.path.parent, ignore_errors=True)


def pull_study(server: "MlflowServer", name: str, workspace: Workspace, progress: Progress) -> tuple[StudyFolder, int]:
    """Rebuild a study's folder in the workspace from the server's files.

    The folder is written beside its place and renamed. One that is there is replaced if its journal is the beginning of
    the pulled one. Results that the journal there does not hold yet are left out, and their trials are open again.

    Args:
        server: where the study was logged to.
        name: of the study.
        workspace: where the folder goes; no process may work on the study there.
        progress: told of each trial.

    Returns:
        The folder, and how many files of trials the server does not have (yet).

    Raises:
        StudyError: no such study, another one of that name is there, or this one and MLflow has less of it.
    """
    study = find_remote(server, name)
    place = workspace.study(name)
    with fetch_books(server, study, workspace.studies) as folder:
        check_replaceable(place, folder)
        trials: dict[int, TrialLog] = {}
        confirmations: dict[int, ConfirmationLog] = {}
        for event in read_events(folder):
            if isinstance(event, TrialLog):
                trials[event.number] = event
            elif isinstance(event, ConfirmationLog):
                confirmations[event.number] = event
        experiment_id, _ = server.look_up(name) or ("", False)
        found = [run for run in server.search(experiment_id, name) if is_of_study(run, began(folder))]
        runs = {int(run.tags["rfe.trial"]): run.run_id for run in found if "rfe.trial" in run.tags}
        progress.start(f"pull {name}", len(trials))
        missing = 0
        for done, number in enumerate(sorted(trials), 1):
            run_id = runs.get(number)
            missing += _fetch_files(server, run_id, trials[number], folder.trial(number))
            if number in confirmations:
                missing += _fetch_files(server, run_id, confirmations[number], folder.trial(number), "confirmed")
            progress.update(done)
        if missing and place.exists():
            raise StudyError(
                f"study {name!r} is in {place.path} already, and MLflow lacks {missing} of its trials' files; the "
                "folder here is kept, pull into another --workspace to see what MLflow has"
            )
        write_json(
            folder.mlflow_runs,
            {
                "tracking_uri": redact_uri(workspace.mlflow_uri),
                "experiment_id": experiment_id,
                "study_run_id": study.run_id,
                "trial_run_ids": {str(number): run_id for number, run_id in sorted(runs.items())},
            },
        )
        for file in sorted(server.files(study.run_id, folder.code.name)):
            server.download(study.run_id, file, folder.code / Path(file).name)
        keep_later_annotations(place, folder)
        replace_folder(folder.path, place.path)
    return place, missing


def _download_books(server: "MlflowServer", study: RemoteStudy, folder: StudyFolder) -> None:
    present = server.files(study.run_id)
    lacking = [path.name for path in (folder.journal, folder.definition) if path.name not in present]
    if lacking:
        raise StudyError(
            f"study {study.name!r}: its MLflow run has no {' and no '.join(lacking)} yet; they come within two "
            "minutes of its start, so try again then"
        )
    for path in folder.books:
        if path.name in present:
            server.download(study.run_id, path.name, path)
    cut_torn_line(folder.journal)


def _fetch_files(
    server: "MlflowServer", run_id: str | None, log: TrialLog | ConfirmationLog, into: Path, folder: str = ""
) -> int:
    """Copy the files that the log names; returns how many are not there. Weights are kept of the best trials only."""
    wanted = {f"{folder}/{name}".lstrip("/") for name in log.artifacts}
    weights = f"{folder}/weights.safetensors".lstrip("/")
    present = server.files(run_id, folder) if run_id is not None else set()
    for file in sorted((wanted | {weights}) & present):
        server.download(str(run_id), file, into / file)
    return len(wanted - present)
