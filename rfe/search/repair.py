"""`rfe studies repair`: journal, Optuna's storage and MLflow agree again; the journal is the truth."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rfe.progress import Progress
from rfe.search.recovery import read_history, recover
from rfe.search.trial_files import find_broken_files
from rfe.study import StudyStore, read_definition
from rfe.tracking.journal import Journal
from rfe.tracking.mlflow_tracker import MlflowTracker, find_gaps
from rfe.tracking.records import read_events
from rfe.workspace import StudyFolder, Workspace

SENT_S = 600.0
"""How long MLflow may take to be brought up to date."""


@dataclass(frozen=True)
class Repair:
    """One thing that was wrong."""

    where: str
    """`journal`, `Optuna`, `files` or `MLflow`."""
    found: str
    done: str


@dataclass(frozen=True)
class RepairReport:
    """What was found, and what is left to do."""

    study: str
    repairs: tuple[Repair, ...]
    """None for a healthy study."""
    adoptable: tuple[int, ...]
    """Trials of a process that is gone, to be trained by who goes on with the study."""
    left: str = ""
    """What MLflow still lacks, in a sentence."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


def repair_study(workspace: Workspace, folder: StudyFolder, progress: Progress) -> RepairReport:
    """Repair a study that no process works on; a healthy one is left as it is.

    Raises:
        StudyError: a process works on it, a journal line that is not the last is damaged, or MLflow does not answer.
    """
    definition = read_definition(folder.path)
    torn = {"journal": _is_torn(folder.journal), "Optuna": _is_torn(folder.optuna_log)}
    with (
        StudyStore.open(
            folder.path, definition, journal=lambda: read_history(folder, definition), reopen=True
        ) as store,
        Journal(folder, definition.space.keep_top) as journal,
    ):
        repairs = [Repair(where, "half a line at its end", "cut off") for where, is_torn in torn.items() if is_torn]
        found = recover(folder, store, journal)
        if store.fault:
            repairs.append(Repair("Optuna", f"its log {store.fault}", "rebuilt from the journal"))
        for where, what, trials, done in (
            (
                "Optuna",
                "ended, but the journal has no result",
                store.reopened,
                f"open again; `rfe studies pull {folder.name}` brings the results back where MLflow or --storage has "
                "them",
            ),
            ("Optuna", "ended in the journal only", found.told, "told as the journal has it"),
            ("journal", "ended before their parameters were known", found.failed, "recorded as failed"),
        ):
            if trials:
                repairs.append(Repair(where, f"{name_trials(trials)}: {what}", done))
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


def _no_repair(folder: StudyFolder) -> str:
    return (
        f"left: ensembles leave the trial out; `rfe studies pull {folder.name}` brings the file back where MLflow or "
        "--storage has it"
    )


def name_trials(numbers: Iterable[int], most: int = 8) -> str:
    """`trials 1, 2, 3 and 4 more`."""
    ordered = sorted(numbers)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return f"trial{'s' * (len(ordered) != 1)} {', '.join(map(str, ordered[:most]))}{more}"


def _is_torn(path: Path) -> bool:
    if not path.is_file():
        return False
    content = path.read_bytes()
    return bool(content) and not content.endswith(b"\n")
