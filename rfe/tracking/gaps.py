"""Differences between MLflow's runs and the journal, and closing runs whose process has ended."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rfe.errors import StudyError
from rfe.journal.events import KEEP_TOP, ConfirmationLog, OutcomeLog, StudyEvent, StudyLog, TrialLog, finite
from rfe.journal.records import read_events, read_records
from rfe.tracking.annotations import Annotations, annotations_shown
from rfe.tracking.best_files import ALL_SHOWN, SHOWN, wanted_files
from rfe.tracking.database import database_problem, inspect_database, is_missing_database
from rfe.tracking.live import is_left_behind
from rfe.tracking.presentation import change_tags, confirmation_metrics, short
from rfe.tracking.run_server import BEGAN, RECORDED, STUDY_STATUS, TRIAL_STATUS, KnownRun
from rfe.workspace import StudyFolder, Workspace, database_file

if TYPE_CHECKING:
    from rfe.tracking.mlflow_server import MlflowServer


def began(folder: StudyFolder) -> str:
    """The time of the study's first record, as text; "" for an empty journal."""
    return next((str(record.time) for record in read_records(folder.journal)), "")


def is_of_study(run: KnownRun, began: str) -> bool:
    """Whether a run belongs to this study, not to an earlier one of the same name."""
    return began == "" or run.tags.get(BEGAN, began) == began


def final_outcome(events: Iterable[StudyEvent]) -> OutcomeLog | None:
    """The study's outcome, if it was not resumed since."""
    last = None
    for event in events:
        if not isinstance(event, StudyLog) or event.starts:  # a change of an ended study has it stay ended
            last = event
    return last if isinstance(last, OutcomeLog) else None


def trial_gap(run: KnownRun, log: TrialLog) -> str:
    """Describe how a trial's run differs from the journal; "" if it agrees."""
    if (run.status, run.tags.get("rfe.state")) != (TRIAL_STATUS[log.state], log.state):
        shown = run.tags.get("rfe.state")
        return f"{run.status if shown in (None, log.state) else shown}, in the journal {log.state}"
    if run.tags.get(RECORDED, str(log.time)) != str(log.time):
        return "another result than the journal's"
    return ""


def is_ended_trial(run: KnownRun) -> bool:
    """Whether a trial's run shows a result, which a journal had when it was written."""
    return run.status != "RUNNING" and run.tags.get("rfe.state") in TRIAL_STATUS


def is_confirmed(run: KnownRun, log: ConfirmationLog) -> bool:
    """Whether the run shows the confirmation."""
    return all(run.metrics.get(name) == value for name, value, _ in confirmation_metrics(log))


def study_gap(run: KnownRun, study: StudyLog, outcome: OutcomeLog | None, annotations: Annotations) -> str:
    """How the study's own run is not as the journal has it, where no process works on the study; "" if it is."""
    if run.status == "RUNNING":
        return "still running"
    if any(run.tags.get(name, "") != value for name, value in annotations.run_tags().items()):
        return "another note or other tags than the study's folder"
    if any(run.tags.get(name, "" if study.changed else value) != value for name, value in change_tags(study).items()):
        return "another budget or space than the journal's"  # runs of earlier versions lack the tags
    if outcome is None:  # of a study that was opened again, the run may still show the former end
        former = run.tags.get("rfe.state", "interrupted")
        return "" if former == "interrupted" else f"{former}, in the journal interrupted"
    if (run.status, run.tags.get("rfe.state")) != (STUDY_STATUS[outcome.state], outcome.state):
        shown = run.tags.get("rfe.state")
        return f"{run.status if shown in (None, outcome.state) else shown}, in the journal {outcome.state}"
    wrong = [name for name, value in finite(outcome.scores).items() if run.metrics.get(name) != short(value)]
    return f"another {' and '.join(wrong)} than the journal's" if wrong else ""


def find_gaps(workspace: Workspace, folder: StudyFolder, keep_top: int = KEEP_TOP) -> list[str]:
    """List where MLflow differs from the journal, for a study that no process searches; one line each.

    Args:
        workspace: says where MLflow is.
        folder: of the study.
        keep_top: how many of the best trials show weights and figures.

    Raises:
        StudyError: MLflow does not answer.
    """
    events = list(read_events(folder))
    trials = {event.number: event for event in events if isinstance(event, TrialLog)}
    confirmations = {event.number: event for event in events if isinstance(event, ConfirmationLog)}
    outcome, annotations = final_outcome(events), annotations_shown(folder)
    if not events:
        return []
    study = next((event for event in reversed(events) if isinstance(event, StudyLog)), StudyLog(folder.name))
    if is_missing_database(workspace.mlflow_uri):
        return ["no database"]
    file = database_file(workspace.mlflow_uri)
    if file is not None and file.parent == workspace.root and (condition := inspect_database(file)).state != "ready":
        return [f"the database: {condition.why}"]
    from rfe.tracking.mlflow_server import open_server

    with open_server(workspace) as server:
        experiment = server.look_up(folder.name)
        if experiment is not None and experiment[1]:
            return ["its experiment is deleted"]
        found = [] if experiment is None else server.search(experiment[0], folder.name)
        runs = [run for run in found if is_of_study(run, began(folder))]
    own = [run for run in runs if "rfe.trial" not in run.tags]
    shown = {int(run.tags["rfe.trial"]): run for run in runs if "rfe.trial" in run.tags}
    gaps = [
        f"the study's run: {gap}"
        for gap in [study_gap(run, study, outcome, annotations) for run in own] or ["missing"]
        if gap
    ]
    if _is_damaged(folder.mlflow_runs):
        gaps.append(f"{folder.mlflow_runs.name}: damaged")
    wanted = wanted_files(trials.values(), confirmations, keep_top) if outcome is not None else set()
    for number, log in sorted(trials.items()):
        run = shown.get(number)
        if run is None:
            gaps.append(f"trial {number}: no run")
        elif gap := trial_gap(run, log):
            gaps.append(f"trial {number}: {gap}")
        elif number in confirmations and not is_confirmed(run, confirmations[number]):
            gaps.append(f"trial {number}: no confirmation")
        elif number in wanted and run.tags.get(SHOWN) != ALL_SHOWN:
            gaps.append(f"trial {number}: no figures or weights")
    for number, run in sorted(shown.items()):
        if number not in trials and run.status == "RUNNING":
            gaps.append(f"trial {number}: still running")
        elif number not in trials and is_ended_trial(run):
            gaps.append(f"trial {number}: {run.tags['rfe.state']}, in the journal without a result")
    return gaps


def _is_damaged(path: Path) -> bool:
    """Whether a JSON file is there and does not hold a mapping."""
    try:
        return not isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True


def close_stale_runs(workspace: Workspace, study: str | None = None) -> list[str]:
    """End RUNNING runs whose process has ended: with the journal's outcome, else as interrupted.

    Args:
        workspace: says where MLflow is.
        study: only this study's; None: all studies' and ensembles'.

    Returns:
        The names of the studies that were interrupted.
    """
    if is_missing_database(workspace.mlflow_uri) or database_problem(workspace):
        return []  # nothing was ever logged, or it cannot be read; looking would make the tables
    from rfe.tracking.mlflow_server import MlflowServer

    return end_stale_runs(MlflowServer(workspace.mlflow_uri, workspace.artifacts), workspace, study)


def end_stale_runs(server: "MlflowServer", workspace: Workspace, study: str | None = None) -> list[str]:
    """As `close_stale_runs`, on a server that is connected to."""
    running = [run for run in server.running() if study in (None, run.tags.get("rfe.study"))]
    alive = {run.run_id for run in running if "rfe.trial" not in run.tags and not is_left_behind(run.tags)}
    interrupted = set()
    for run in running:
        if run.run_id in alive or run.tags.get("mlflow.parentRunId") in alive:
            continue
        is_study = not {"rfe.trial", "rfe.ensemble"} & run.tags.keys()
        outcome = _outcome_here(workspace, run) if is_study else None
        if outcome is None:
            server.log(run.run_id, tags={"rfe.state": "interrupted"})
            server.set_status(run.run_id, "KILLED")
            if "rfe.ensemble" not in run.tags:
                interrupted.add(run.tags["rfe.study"])
        else:
            metrics = [(name, short(value), 0) for name, value in finite(outcome.scores).items()]
            server.log(run.run_id, metrics, tags={"rfe.state": outcome.state})
            server.set_status(run.run_id, STUDY_STATUS[outcome.state], outcome.time)
    return sorted(interrupted)


def _outcome_here(workspace: Workspace, run: KnownRun) -> OutcomeLog | None:
    """What the journal says of the end of a run's study; None where it is not in this workspace, or did not end."""
    try:
        folder = workspace.study(run.tags["rfe.study"])
        return final_outcome(read_events(folder)) if is_of_study(run, began(folder)) else None
    except (StudyError, OSError):
        return None
