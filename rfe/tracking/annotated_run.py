"""What was written about a study, or changed of it, in MLflow where no search works on it: a running one shows it
by itself."""

from collections import Counter

from rfe.journal.events import StudyLog, TrialLog
from rfe.journal.records import read_events
from rfe.tracking.annotations import annotations_shown
from rfe.tracking.attachments import study_run
from rfe.tracking.database import database_problem, is_missing_database
from rfe.tracking.gaps import final_outcome
from rfe.tracking.presentation import NOTE, change_tags, study_description
from rfe.workspace import StudyFolder, Workspace


def update_run(workspace: Workspace, folder: StudyFolder) -> str:
    """Bring the study's run in MLflow up to its note and tags, its budget and its space.

    Returns:
        "", or a sentence on why MLflow does not show them yet.
    """
    run = study_run(folder)
    if run is None:
        return "saved with the study; it has no run in MLflow"
    later = f"`rfe studies repair {folder.name}` shows them in MLflow later"
    if is_missing_database(workspace.mlflow_uri) or database_problem(workspace):
        return f"saved with the study; MLflow's database cannot be opened: {later}"
    from rfe.tracking.mlflow_server import one_line, retrying_server

    annotations, events = annotations_shown(folder), list(read_events(folder))
    study = next((event for event in reversed(events) if isinstance(event, StudyLog)), StudyLog(folder.name))
    counts = Counter[str]({event.number: event.state for event in events if isinstance(event, TrialLog)}.values())
    note = study_description(study, counts, final_outcome(events), annotations.note)
    try:
        server = retrying_server(workspace)
        server.log(run, tags={NOTE: note, **change_tags(study), **annotations.run_tags()})
        server.upload(run, [path for path in (folder.annotations, folder.journal) if path.exists()])
    except Exception as error:  # of any kind the server's client has
        return f"saved with the study; MLflow did not take them ({one_line(error, workspace.mlflow_uri)}): {later}"
    return ""
