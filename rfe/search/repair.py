"""`rfe studies repair`: what is wrong with a study's journal and files, and MLflow written again from the journal."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rfe.journal.records import read_events
from rfe.progress import Progress
from rfe.search.trial_files import find_broken_files
from rfe.study import StudyStore, read_definition
from rfe.study.opening import name_trials
from rfe.tracking.mlflow_tracker import MlflowTracker, find_gaps
from rfe.workspace import StudyFolder, Workspace

SENT_S = 600.0
"""How long MLflow may take to be brought up to date."""


@dataclass(frozen=True)
class Repair:
    """One thing that was wrong."""

    where: str
    """`journal`, `files` or `MLflow`."""
    found: str
    done: str


@dataclass(frozen=True)
class RepairReport:
    """What was found, and what is left to do."""

    study: str
    repairs: tuple[Repair, ...]
    """None for a healthy study."""
    adoptable: tuple[int, ...]
    """Open trials of a process that ended; resuming the study trains them."""
    left: str = ""
    """What MLflow still lacks, in a sentence."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


def repair_study(workspace: Workspace, folder: StudyFolder, progress: Progress) -> RepairReport:
    """Repair a study that no process works on; a healthy one is left as it is.

    Raises:
        StudyError: a process works on it, its journal is lost or damaged before its last line, or MLflow does not
            answer.
    """
    definition = read_definition(folder.path)
    is_torn = _is_torn(folder.journal)
    with StudyStore.open(folder.path, definition) as store:
        repairs = [Repair("journal", "half a line at its end", "cut off")] if is_torn else []
        if store.lost:
            what = f"{name_trials(store.lost)}: asked for by an earlier version, without their parameters"
            repairs.append(Repair("journal", what, "recorded as failed"))
        if store.unrecorded:
            what = f"no result of {name_trials(store.unrecorded)}, of which trials/ has files or MLflow has runs"
            repairs.append(Repair("journal", what, _no_result(folder)))
        for broken in find_broken_files(folder):
            name = broken.path.relative_to(folder.path)
            repairs.append(Repair("files", f"trial {broken.trial}: {name} {broken.problem}", _no_repair(folder)))
        left = ""
        keep_top = definition.space.keep_top
        if gaps := find_gaps(workspace, folder, keep_top):
            progress.start("writing MLflow from the journal")
            tracker = MlflowTracker(workspace, folder, progress.note, keep_top)
            tracker.replay(read_events(folder))
            left = tracker.close(SENT_S)
            remain = set(find_gaps(workspace, folder, keep_top))  # what was refused, or there was no time for
            for gap in [*gaps, *sorted(remain - set(gaps))]:
                repairs.append(Repair("MLflow", gap, "not written" if gap in remain else "written from the journal"))
        return RepairReport(folder.name, tuple(repairs), tuple(one.number for one in store.running()), left)


def _no_result(folder: StudyFolder) -> str:
    return (
        f"left: `rfe studies pull {folder.name}` brings the results back where MLflow or --storage has the journal "
        f"whole; `rfe studies resume {folder.name}` trains them again"
    )


def _no_repair(folder: StudyFolder) -> str:
    return (
        f"left: ensembles leave the trial out; `rfe studies pull {folder.name}` brings the file back where MLflow or "
        "--storage has it"
    )


def _is_torn(path: Path) -> bool:
    if not path.is_file():
        return False
    content = path.read_bytes()
    return bool(content) and not content.endswith(b"\n")
