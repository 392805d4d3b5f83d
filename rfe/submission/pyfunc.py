"""A bundle as an MLflow pyfunc model: one row a clip in, one row an answer out. With tracking.mlflow_server the only
home of mlflow.

The model's files are the bundle's own; its code is this package and its requirements the package's core, so that
`mlflow models predict` and `serve` need neither Ray nor Optuna.
"""

import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rfe.data.frames import refuse_ambiguous_names
from rfe.errors import DataError, SubmissionError
from rfe.submission.archive import open_bundle
from rfe.submission.clips import NewClips
from rfe.submission.layout import MANIFEST
from rfe.submission.manifest import title
from rfe.submission.predictor import Predictor
from rfe.submission.table import prediction_columns
from rfe.submission.verification import verify_bundle
from rfe.tracking.mlflow_server import MlflowServer, one_line  # sets MLflow up before it is imported below
from rfe.workspace import Workspace

EXPERIMENT = "bundles"
ALIAS = "champion"
CORE = (
    "numpy",
    "pandas",
    "torch",
    "scikit-learn",
    "threadpoolctl",
    "scipy",
    "safetensors",
    "pyyaml",
    "pydantic",
    "filelock",
)
"""What prediction needs, with the bounds that the package gives them."""


@dataclass(frozen=True)
class RegisteredBundle:
    """A version of a registered model."""

    model: str
    version: str
    run_id: str

    @property
    def uri(self) -> str:
        """What the alias names until another version is registered."""
        return f"models:/{self.model}@{ALIAS}"


class BundleModel:
    """The model that MLflow loads.

    Args:
        bundle: a folder.
    """

    def __init__(self, bundle: Path) -> None:
        self.predictor = Predictor(bundle, verify_bundle(bundle))

    def predict(self, model_input: Any, params: Any = None) -> pd.DataFrame:
        """Answer clips.

        Args:
            model_input: a table with `filename`, one column for each encoder with a list of numbers in each row (empty
                or absent: missing), and, where the models standardise by actor or the bundle is transductive,
                `video_id`.
            params: not read.

        Raises:
            DataError: as `Predictor.predict`, or a column that differs from an index of its name.
        """
        table = pd.DataFrame(model_input)
        refuse_ambiguous_names(table, "the input")
        table = table.reset_index(drop=True)
        answered = self.predictor.predict(clips_of_table(table, self.predictor.pool))
        if (answered.state < 0).any():
            raise DataError("the models' outputs are not finite; the features must be those of another scale")
        columns = prediction_columns(self.predictor.task, answered.state, answered.probabilities)
        found = pd.DataFrame({"filename": list(answered.filename), **columns})
        return found.astype({"emotion_1_salience": "float64", "emotion_2_salience": "float64"})


def clips_of_table(table: pd.DataFrame, encoders: Sequence[str]) -> NewClips:
    """The clips of a table, see `BundleModel.predict`.

    Raises:
        DataError: no `filename`, or rows of one encoder that differ in length or are no numbers.
    """
    if "filename" not in table:
        raise DataError(f"the input has the columns {', '.join(map(str, table.columns))}; it needs filename")
    actor = np.full(len(table), -1, np.int64)
    if "video_id" in table:
        actor = np.asarray(pd.factorize(table["video_id"])[0], np.int64)
    features, available = {}, {}
    for name in encoders:
        if name in table:
            features[name], available[name] = _stacked(name, table[name].tolist())
    return NewClips(tuple(map(str, table["filename"])), actor, features, available, "the input")


def _load_pyfunc(data_path: str) -> BundleModel:
    """MLflow's entry point."""
    return BundleModel(Path(data_path))


def register_bundle(bundle: Path, model: str, workspace: Workspace) -> RegisteredBundle:
    """Log a bundle as a run of the experiment `bundles`, register its model and move the alias `champion` to it.

    Args:
        bundle: a folder or an archive, verified first.
        model: the registered name.
        workspace: says where MLflow is.

    Raises:
        SubmissionError: the bundle is not whole, or MLflow refuses.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    with open_bundle(bundle) as folder, _tracking_at(workspace.mlflow_uri):
        manifest = verify_bundle(folder, name=str(bundle))
        try:
            server = MlflowServer(workspace.mlflow_uri, workspace.artifacts)
            experiment = server.find_experiment(EXPERIMENT)
            name = title(manifest)
            tags = {"rfe.bundle": name, "rfe.data_fingerprint": str(manifest["data"]["fingerprint"])}
            tags |= {"rfe.transductive": "true"} if manifest.get("transductive") else {}
            run = server.create(experiment, f"bundle of {name}", tags, time.time())
            scores = {key: float(value) for key, value in manifest["scores"].items()}
            server.log(run, [(key, value, 0) for key, value in scores.items() if np.isfinite(value)])
            server.upload(run, [folder / "MODEL_CARD.md", folder / MANIFEST])
            with mlflow.start_run(run_id=run, log_system_metrics=False), redirect_stdout(StringIO()):
                info = log_model(folder, manifest)
                version = mlflow.register_model(info.model_uri, model)
            mlflow.MlflowClient().set_registered_model_alias(model, ALIAS, version.version)
            return RegisteredBundle(model, str(version.version), run)
        except MlflowException as problem:
            raise SubmissionError(
                f"--register {model}: MLflow refuses: {one_line(problem, workspace.mlflow_uri)}"
            ) from problem


@contextmanager
def _tracking_at(uri: str) -> Iterator[None]:
    """MLflow's one tracking URI for a while; it is an environment variable too, which children and workspaces read."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    level = logging.getLogger("mlflow").level
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.getLogger("mlflow").setLevel(level)
        mlflow.set_tracking_uri(before)


def log_model(folder: Path, manifest: dict[str, Any]) -> Any:
    """Log the model to the active run; returns MLflow's model info."""
    import mlflow

    predictor = Predictor(folder, manifest)
    example = example_table(predictor)
    with tempfile.TemporaryDirectory(prefix="rfe-model-") as scratch:
        data = Path(scratch) / "bundle"
        data.symlink_to(folder.absolute(), target_is_directory=True)  # the name under which the model holds it
        return mlflow.pyfunc.log_model(
            name="model",
            loader_module="rfe.submission.pyfunc",
            data_path=str(data),
            code_paths=[str(Path(__file__).parents[1])],
            signature=signature_of(predictor),
            input_example=example,
            pip_requirements=core_requirements(),
        )


def signature_of(predictor: Predictor) -> Any:
    """The model's signature; encoders are optional, since a missing one is masked."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    text, number = DataType.string, DataType.double
    inputs = [
        ColSpec(text, "filename"),
        ColSpec(text, "video_id", required=predictor.needs_actors),
        *(ColSpec(Array(number), name, required=False) for name in predictor.pool),
    ]
    outputs = [
        ColSpec(text, "filename"),
        ColSpec(text, "set"),
        ColSpec(text, "emotion_1"),
        ColSpec(number, "emotion_1_salience", required=not predictor.task.pairs or bool(predictor.task.ratios_percent)),
        ColSpec(text, "emotion_2", required=False),
        ColSpec(number, "emotion_2_salience", required=False),
        *(ColSpec(number, f"p_{code}") for code in predictor.task.classes),
    ]
    return ModelSignature(Schema(inputs), Schema(outputs))


def example_table(predictor: Predictor) -> pd.DataFrame:
    """Two made-up clips of one actor: the training clips' mean features, and those a tenth larger; of a transductive
    bundle an actor's whole set, in equal steps."""
    n = max(2, predictor.set_size or 2)
    columns: dict[str, list[Any]] = {"filename": [f"clip_{i + 1}" for i in range(n)], "video_id": ["actor_1"] * n}
    for name in predictor.pool:
        mean, _ = predictor.training_statistics(name)
        columns[name] = [(factor * mean).tolist() for factor in np.linspace(1.0, 1.1, n)]
    return pd.DataFrame(columns)


def core_requirements() -> list[str]:
    """`name>=a,<b` of the packages that prediction needs."""
    try:
        stated = requires("rfe") or []
    except PackageNotFoundError:
        stated = []
    bounds = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower(): line.split(";")[0].strip() for line in stated}
    return [bounds.get(name, name) for name in CORE]


def _stacked(name: str, rows: list[Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """[clip, dim] and [clip] whether there is anything."""
    try:
        arrays = [np.asarray([] if _is_nothing(row) else row, np.float32).ravel() for row in rows]
    except (TypeError, ValueError) as problem:
        raise DataError(f"the input, {name}: {problem}; each row is a list of numbers") from None
    sizes = sorted({len(one) for one in arrays} - {0})
    if len(sizes) > 1:
        raise DataError(
            f"the input, {name}: rows of {', '.join(map(str, sizes))} numbers; an encoder has one dimension"
        )
    there = np.array([len(one) > 0 for one in arrays], np.bool_)
    values = np.zeros((len(rows), sizes[0] if sizes else 0), np.float32)
    for index in np.flatnonzero(there):
        values[index] = arrays[index]
    broken = [index for index in range(len(rows)) if not np.isfinite(values[index]).all()]
    if broken:
        raise DataError(
            f"the input, {name}: row {broken[0]} holds a value that is not finite; leave the row's list empty"
        )
    return values, there


def _is_nothing(row: Any) -> bool:
    return row is None or (isinstance(row, float) and np.isnan(row))
