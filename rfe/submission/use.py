"""Predicts with a bundle on a data folder: checks and reads both, and writes the answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfe.data.dataset import list_encoders, load_dataset
from rfe.data.metadata import METADATA_FILES
from rfe.data.task import compared_labels
from rfe.errors import ConfigError, DataError
from rfe.submission.archive import open_bundle
from rfe.submission.clips import NewClips
from rfe.submission.layout import PREDICTIONS_NAME
from rfe.submission.manifest import title
from rfe.submission.predictor import Prediction, Predictor
from rfe.submission.submission import VIDEO_EXTENSION
from rfe.submission.table import predictions_csv
from rfe.submission.verification import verify_bundle
from rfe.submission.writers import writer_of
from rfe.task import Task
from rfe.writing import check_folder_place, fill_folder, write_text


@dataclass(frozen=True)
class BundlePrediction:
    """A bundle's answers to a data folder's clips."""

    bundle: str
    """What the bundle is of."""
    task: Task
    """Whose states are answered."""
    prediction: Prediction
    extension: str
    """Of the clips' recordings, for a submission's keys."""
    caveats: tuple[str, ...]
    """Of the data that the models were trained on, and of the data that was answered."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the table."""
        return {
            "bundle": self.bundle,
            "clips": len(self.prediction.filename),
            "notes": list(self.prediction.notes),
            "caveats": list(self.caveats),
        }


def predict_folder(bundle: Path, data: Path) -> BundlePrediction:
    """Answer a data folder's target clips; where it has none, all of its clips.

    Raises:
        SubmissionError: the bundle is not whole.
        DataError: data that the models cannot read, of another task, or the very clips they were trained on.
    """
    with open_bundle(bundle) as folder:
        manifest = verify_bundle(folder, name=str(bundle))
        predictor = Predictor(folder, manifest)
        there = list_encoders(data)
        # encoders that no model reads as well: a clip that has only those is answered as in training
        known = [name for name in predictor.dims if name in there]
        if there and not known:
            raise DataError(
                f"{data}: has the encoders {', '.join(there)}, but the models read {', '.join(predictor.pool)}; "
                "compute their features"
            )
        task = predictor.task
        dataset = load_dataset(data, known or None, need_source=False, need_labels=False, unlabelled_as=task)
        if compared_labels(dataset.clips.task) != compared_labels(task):
            raise DataError(
                f"{data}: its clips have the labels of task {dataset.clips.task.name!r}, but the models answer those "
                f"of {task.name!r} ({', '.join(task.classes)}); give data of that task, or, where the clips have no "
                "labels, leave task.yaml and the label columns out"
            )
        if not dataset.clips.n_target and dataset.clips.n_source == manifest["data"]["source_clips"]:
            shared = {name: file.sha256 for name, file in dataset.encoders.items()}
            if shared == {name: manifest["data"]["encoders"][name]["sha256"] for name in shared}:
                raise DataError(
                    f"{data}: has no test clips, and its training clips are those that the models were trained on; "
                    "give the data folder of other clips"
                )
        prediction = predictor.predict(NewClips.of_dataset(dataset, predictor.pool))
    if (prediction.state < 0).any():
        raise DataError(f"{data}: the models' outputs are not finite; the features must be those of another scale")
    extension = (manifest.get("submission") or {}).get("extension", VIDEO_EXTENSION)
    caveats = dict.fromkeys((*manifest["data"]["caveats"], *dataset.caveats))
    return BundlePrediction(title(manifest), task, prediction, extension, tuple(caveats))


def write_files(answered: BundlePrediction, output: Path) -> tuple[Path, ...]:
    """Write the table, where `output` ends with `.csv`, else a folder with table and submission: all of it or nothing.

    Returns:
        The files.

    Raises:
        ConfigError: `output` can be no such place, or is a data folder.
    """
    prediction, task, writer = answered.prediction, answered.task, writer_of(answered.task)
    if output.suffix == ".csv":
        check_folder_place(output.absolute().parent)
        write_text(output, predictions_csv(answered.task, prediction))
        return (output,)
    check_folder_place(output)
    if any((output / name).exists() for name in METADATA_FILES):
        raise ConfigError(f"{output}: is a data folder; name another one with -o/--output")
    for name in (PREDICTIONS_NAME, *writer.names):
        if (output / name).is_dir():
            raise ConfigError(f"{output / name}: is a folder; remove it, or name another folder with -o/--output")
    with fill_folder(output) as scratch:
        write_text(scratch / PREDICTIONS_NAME, predictions_csv(answered.task, prediction))
        state, shares = prediction.state, prediction.probabilities
        submission = writer.write(task, scratch, prediction.filename, state, shares, answered.extension)
    return (output / PREDICTIONS_NAME, *(output / one.name for one in submission))
