"""Attaches reports of studies, ablations and ensembles to their runs; an unavailable server is not an error."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from rfe.workspace import StudyFolder, Workspace


def study_run(study: StudyFolder) -> str | None:
    """The run that shows a study; None: it has none."""
    try:
        return str(json.loads(study.mlflow_runs.read_text(encoding="utf-8"))["study_run_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def attach_files(workspace: Workspace, what: str, run: str | None, files: Mapping[str, Iterable[Path]]) -> str:
    """Upload files to a run; those of the same name are replaced.

    Args:
        workspace: whose MLflow it is.
        what: the run shows, in words.
        run: its id, or None.
        files: folder among the run's artifacts ("" is the top) -> files.

    Returns:
        "", or a sentence on why they are not there.
    """
    if run is None:
        return f"not shown in MLflow: {what} has no run there"
    from rfe.tracking.mlflow_server import one_line, retrying_server

    try:
        server = retrying_server(workspace)
        for folder, paths in files.items():
            server.upload(run, paths, folder)
    except Exception as error:  # of any kind the server's client has
        return f"not shown in MLflow: {one_line(error, workspace.mlflow_uri)}"
    return ""
