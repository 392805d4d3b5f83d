"""A bundle of really trained small models, made once for the tests that use it."""

from pathlib import Path

import numpy as np

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.submission.export import export_study
from rfe.training.configurations import train_configurations
from rfe.training.record import FoldPart, TrialResult
from rfe.workspace import Workspace
from tests.unit.ensemble.studies import make_artifacts, make_trial, write_study

SMALL = {"model.latent_dim": 8, "train.epochs": 2, "train.batch_size": 16}


def configure(**changes: object) -> Config:
    return change_config(Config(), SMALL | {name.replace("__", "."): value for name, value in changes.items()})


def export_trained(
    folder: Path, dataset: Dataset, config: Config, *, kind: str = "folds", output: Path | None = None
) -> tuple[Path, TrialResult]:
    """The bundle of a study of one trained trial, and what its training handed back."""
    workspace = Workspace(folder / "work", "sqlite:///none.db", folder / "cache")
    cache = FeatureCache(dataset, workspace.cache)
    (result,) = train_configurations([config], dataset, cache)
    kept = ("seeds", "presence_logits", "salience_logits", "fused")
    names = [*kept, *(f"target_{name}" for name in kept[1:])]
    arrays = {name: np.asarray(getattr(result, name)) for name in names}
    trial = make_trial(
        dataset, 0, result.score, config, artifacts=make_artifacts(config, arrays), weights=result.weights
    )
    write_study(workspace.study("fusion-v1"), dataset, trial)
    finals: list[TrialResult] = []

    def train(asked: Config, folds: tuple[int, ...] | None) -> TrialResult:
        assert folds is not None
        finals.append(train_configurations([asked], dataset, cache, parts={0: FoldPart(folds)})[0])
        return finals[-1]

    bundle = export_study(workspace, "fusion-v1", dataset, kind=kind, output=output, train=train)  # type: ignore[arg-type]
    return bundle, (finals or [result])[0]
