"""What comes of studies: bundles, their checks and scores, the page that shows the runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfe.errors import ConfigError, StudyError
from rfe.progress import Progress, SilentProgress
from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.config.schema import Config
    from rfe.submission.scoring import FileScore
    from rfe.training.record import TrialResult


def export(
    name: str,
    data: Path | str | None = None,
    *,
    trial: int | None = None,
    output: Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the bundle of an ensemble, of a study's best (confirmed) trial, or of one trial; see
    `rfe.submission.export`.

    Args:
        name: of a study or an ensemble.
        data: the data folder; None: where it was when the study was searched.
        trial: of a study; None: the best one.

    Returns:
        The bundle's folder.

    Raises:
        ConfigError: a trial of an ensemble is asked for.
        StudyError: there is neither.
    """
    from rfe.config.fields import nearest, unknown
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder
    from rfe.ensemble.stored import ensemble_names, read_ensemble
    from rfe.reporting.studies import find_study, study_source
    from rfe.submission.export import export_ensemble, export_study

    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    ensembles = ensemble_names(workspace)
    stored = read_ensemble(workspace, name) if name in ensembles else None
    if nearest(name, ensembles) is not None and name not in (*ensembles, *workspace.study_names()):
        raise StudyError(unknown("study or ensemble", name, (*workspace.study_names(), *ensembles)))
    if stored is not None and trial is not None:
        raise ConfigError(f"--trial {trial}: {name} is an ensemble; leave --trial out, or name the trial's study")
    source, encoders = study_source(find_study(workspace, name)) if stored is None else (stored.data, stored.encoders)
    dataset = load_dataset(local_folder(data or source, workspace.cache), encoders)

    def retrain(config: Config) -> TrialResult:
        from rfe.data.cache import FeatureCache
        from rfe.training.configurations import train_configurations

        progress.start("training the configuration again: the study did not keep its weights")
        return train_configurations([config], dataset, FeatureCache(dataset, workspace.cache))[0]

    if stored is not None:
        return export_ensemble(workspace, stored, dataset, output=output, retrain=retrain)
    return export_study(workspace, name, dataset, trial=trial, output=output, retrain=retrain)


def verify(path: Path, data: Path | str | None = None) -> dict[str, Any]:
    """Check a bundle's folder, or a submission file on its own; with `data`, that every target clip is answered.

    Returns:
        The bundle's manifest, or `{"clips": N}` of a submission.

    Raises:
        SubmissionError: with every fault found.
    """
    from rfe.submission.validate import verify_submission
    from rfe.submission.verification import verify_bundle

    names = None if data is None else _target_names(Path(data))
    if path.is_file():
        return {"clips": verify_submission(path, names)}
    return verify_bundle(path, names)


def score(path: Path, data: Path | str) -> FileScore:
    """The official metrics, with intervals, of a submission or of an `.npz` of probabilities."""
    from rfe.data.dataset import load_dataset
    from rfe.submission.scoring import score_file

    return score_file(path, load_dataset(Path(data), need_source=False))


def show_ui(
    workspace: Workspace | None = None,
    *,
    port: int = 5000,
    tracking_uri: str | None = None,
    note: Callable[[str], None] = print,
) -> None:
    """Show the runs in a browser until interrupted; see `rfe.tracking.ui`. Runs that a killed search left open are
    closed first."""
    from rfe.tracking.mlflow_tracker import close_stale_runs
    from rfe.tracking.ui import serve_ui

    workspace = workspace or open_workspace()
    if tracking_uri is None:
        for study in close_stale_runs(workspace):
            note(f"study {study} was interrupted: its open runs are closed")
    serve_ui(workspace, port, tracking_uri, note)


def _target_names(data: Path) -> list[str]:
    from rfe.data.metadata import read_clips

    clips = read_clips(data, need_source=False)
    return [str(name) for name in clips.filename[clips.target]]
