"""What comes of studies: bundles, their checks and scores, the page that shows the runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfe.errors import ConfigError, StudyError
from rfe.extras import needs
from rfe.progress import Progress, SilentProgress
from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from rfe.config.schema import Config
    from rfe.submission.layout import ModelKind
    from rfe.submission.pyfunc import RegisteredBundle
    from rfe.submission.scoring import FileScore
    from rfe.submission.use import BundlePrediction
    from rfe.training.record import TrialResult

DEFAULT_MODELS: ModelKind = "folds"
"""The better ones on actors that neither had seen: see `reports/evidence/final_models`."""


@needs("search")
def export(
    name: str,
    data: Path | str | None = None,
    *,
    trial: int | None = None,
    models: ModelKind = DEFAULT_MODELS,
    seeds: int | None = None,
    output: Path | None = None,
    sign: Path | None = None,
    workspace: Workspace | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the bundle of an ensemble, of a study's best (confirmed) trial, or of one trial; see
    `rfe.submission.export`.

    Args:
        name: of a study or an ensemble.
        data: the data folder; None: where it was when the study was searched.
        trial: of a study; None: the best one.
        models: `final` trains models on all clips, `folds` keeps the cross-validation's.
        seeds: `final`: models a configuration; None: as many as its outputs were logged of.
        output: a folder, or an archive `NAME.zip`.
        sign: a private key; the signature goes beside the bundle, see `rfe.submission.signing`.

    Returns:
        The bundle's folder or archive.

    Raises:
        ConfigError: a trial of an ensemble is asked for, or seeds of fold models.
        StudyError: there is neither.

    Examples:
        >>> rfe.api.export("first", output=Path("first.zip"))  # doctest: +SKIP
    """
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder
    from rfe.ensemble.stored import ensemble_names, read_ensemble, unknown_result
    from rfe.journal.study import study_source
    from rfe.submission.export import export_ensemble, export_study
    from rfe.submission.signing import open_signer, signature_path
    from rfe.workspace import find_study

    signer = None if sign is None else open_signer(sign)
    workspace, progress = workspace or open_workspace(), progress or SilentProgress()
    ensembles = ensemble_names(workspace)
    stored = read_ensemble(workspace, name) if name in ensembles else None
    if name not in (*ensembles, *workspace.study_names()):
        workspace.study(name)  # a name that leads elsewhere is refused
        raise StudyError(unknown_result(workspace, name))
    if stored is not None and trial is not None:
        raise ConfigError(f"--trial {trial}: {name} is an ensemble; leave --trial out, or name the trial's study")
    if models == "folds" and seeds is not None:
        raise ConfigError(
            f"--seeds {seeds}: the fold models have the seeds they were trained with; ask for --models final"
        )
    source, encoders = study_source(find_study(workspace, name)) if stored is None else (stored.data, stored.encoders)
    dataset = load_dataset(local_folder(data or source, workspace.cache), encoders)

    def train(config: Config, folds: tuple[int, ...] | None) -> TrialResult:
        import torch

        from rfe.data.cache import FeatureCache
        from rfe.training.configurations import train_configurations
        from rfe.training.record import EpochReport, FoldPart, Stop

        what = "on all clips" if folds is not None else "on each fold again, as its outputs or weights were not kept"
        started = False

        def on_epoch(reports: Mapping[int, EpochReport]) -> dict[int, Stop]:
            nonlocal started
            (report,) = reports.values()
            if not started:
                progress.start(f"training {config.train.seeds} seeds {what}: epochs", report.epochs)
            started = True
            progress.update(report.epoch)
            return {}

        parts = {} if folds is None else {0: FoldPart(folds)}
        cache = FeatureCache(dataset, workspace.cache)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return train_configurations([config], dataset, cache, device=device, parts=parts, on_epoch=on_epoch)[0]

    options: dict[str, Any] = {
        "kind": models,
        "seeds": seeds,
        "output": output,
        "train": train,
        "note": progress.note,
    }
    if stored is not None:
        bundle = export_ensemble(workspace, stored, dataset, **options)
    else:
        bundle = export_study(workspace, name, dataset, trial=trial, **options)
    if signer is None:
        signature_path(bundle).unlink(missing_ok=True)  # of the bundle that was replaced
    else:
        signer(bundle)
    return bundle


@needs("search")
def register(bundle: Path, model: str, *, workspace: Workspace | None = None) -> RegisteredBundle:
    """Register a bundle as an MLflow model and move the alias `champion` to it; see `rfe.submission.pyfunc`.

    Args:
        bundle: a folder or an archive.
        model: its registered name.
        workspace: says where MLflow is.

    Raises:
        SubmissionError: the bundle is not whole, or MLflow refuses.
    """
    from rfe.submission.pyfunc import register_bundle

    return register_bundle(bundle, model, workspace or open_workspace())


def predict(bundle: Path, data: Path | str) -> BundlePrediction:
    """Answer the clips of a data folder with a bundle; needs neither Ray nor MLflow.

    Args:
        bundle: a folder or an archive.
        data: with or without labels. Its target clips are answered; where it has none, all of its clips, unless they
            are those that the models were trained on.

    Raises:
        SubmissionError: the bundle is not whole.
        DataError: data that the models cannot read.

    Examples:
        >>> rfe.api.predict(Path("first.zip"), "new-clips")  # doctest: +SKIP
    """
    from rfe.submission.use import predict_folder

    return predict_folder(bundle, Path(data))


def write_predictions(prediction: BundlePrediction, output: Path) -> tuple[Path, ...]:
    """Write predictions: a table where `output` ends with `.csv`, else a folder with table and submission.

    Returns:
        The files.
    """
    from rfe.submission.use import write_files

    return write_files(prediction, output)


def verify(path: Path, data: Path | str | None = None, *, key: Path | None = None) -> dict[str, Any]:
    """Check a bundle, folder or archive, or a submission file on its own; with `data`, that every target clip is
    answered (every clip, where none is one). On its own a submission is BlEmoRE's.

    Args:
        path: the bundle or submission.
        data: a data folder, or a CSV file of clips; neither labels nor features are looked at.
        key: a public key; the signature beside the bundle must be by its private key.

    Returns:
        The bundle's manifest, or `{"clips": N}` of a submission.

    Raises:
        SubmissionError: with every fault found.

    Examples:
        >>> import json
        >>> from rfe.submission.submission import build_submission
        >>> from rfe.task import BLEMORE
        >>> _ = Path("submission.json").write_text(json.dumps(build_submission(BLEMORE, ["test_0001"], [0])))
        >>> rfe.api.verify(Path("submission.json"))
        {'clips': 1}
    """
    from rfe.data.labelled import read_answered_clips
    from rfe.errors import SubmissionError
    from rfe.submission.archive import is_archive, open_bundle
    from rfe.submission.validate import verify_submission
    from rfe.submission.verification import verify_bundle
    from rfe.task import BLEMORE

    if key is not None:
        from rfe.submission.signing import verify_signature

        verify_signature(path, key)
    answered = None if data is None else read_answered_clips(Path(data))
    names = None if answered is None else answered.names
    if path.is_file() and not is_archive(path):
        if answered is None and path.suffix.lower() == ".csv":
            raise SubmissionError(
                f"{path}: which labels a table has, its data folder says; give it with --data, or verify the bundle"
            )
        return {"clips": verify_submission(BLEMORE if answered is None else answered.task, path, names)}
    with open_bundle(path) as folder:
        return verify_bundle(folder, names, str(path))


def score(path: Path, data: Path | str) -> FileScore:
    """Compute the official metrics, with intervals, of a submission or of an `.npz` of probabilities.

    Args:
        path: the submission or `.npz`.
        data: a data folder or a CSV file; only its labels are read, and folds and actors where it has some.

    Examples:
        >>> rfe.api.score(Path("submission.json"), "my-data")  # doctest: +SKIP
    """
    from rfe.data.labelled import read_labelled_clips
    from rfe.submission.scoring import score_file

    return score_file(path, read_labelled_clips(Path(data)))


@needs("search")
def show_ui(
    workspace: Workspace | None = None,
    *,
    port: int = 5000,
    tracking_uri: str | None = None,
    host: str = "127.0.0.1",
    allowed_hosts: Sequence[str] = (),
    auth: bool = False,
    note: Callable[[str], None] = print,
) -> None:
    """Show the runs in a browser until interrupted; see `rfe.tracking.ui` and, on who reaches it, `.access`. Runs that
    a killed search left open are closed first."""
    from rfe.tracking.access import Access
    from rfe.tracking.mlflow_tracker import close_stale_runs
    from rfe.tracking.ui import serve_ui

    workspace = workspace or open_workspace()
    if tracking_uri is None and not workspace.mlflow_uri.startswith("http"):  # a server shows itself
        for study in close_stale_runs(workspace):
            note(f"study {study} was interrupted: its open runs are closed")
    serve_ui(workspace, port, tracking_uri, note, Access(host, tuple(allowed_hosts), auth))
