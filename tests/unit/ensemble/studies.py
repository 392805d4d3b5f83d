"""A finished study on disk, as a search leaves it, with made-up outputs: no training."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rfe.config.identity import config_id
from rfe.config.load import change_config, dump_config, flatten
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.journal.events import ConfirmationLog, OutcomeLog, StudyLog, TrialLog
from rfe.journal.journal import Journal
from rfe.model.fusion_model import FusionModel
from rfe.training.build import build_replicas, stack_shape
from rfe.workspace import StudyFolder

CONFIG = Config()


def make_outputs(
    dataset: Dataset, n_seeds: int = 1, seed: int = 0, noise: float = 0.5, first_seed: int = 0
) -> dict[str, Any]:
    """The arrays of an outputs.npz: logits that show the labels through noise; target clips show state 0, 1, 2 ..."""
    clips, stream = dataset.clips, np.random.default_rng(seed)
    target_truth = np.arange(clips.n_target) % clips.task.n_states

    def logits(truth: NDArray[np.int64], *leading: int) -> NDArray[np.float32]:
        shape = (*leading, len(truth), clips.task.n_classes)
        return (6 * clips.task.state_salience[truth] - 2 + stream.normal(0, noise, shape)).astype(np.float32)

    arrays: dict[str, Any] = {"seeds": first_seed + np.arange(n_seeds)}
    for prefix, truth, leading in (
        ("", clips.state[: clips.n_source], (n_seeds,)),
        ("target_", target_truth, (len(clips.folds), n_seeds)),
    ):
        salience = logits(truth, *leading)
        weight = np.exp(salience)
        arrays[f"{prefix}presence_logits"] = logits(truth, *leading)
        arrays[f"{prefix}salience_logits"] = salience
        arrays[f"{prefix}fused"] = weight / weight.sum(-1, keepdims=True)
    return arrays


def make_weights(
    dataset: Dataset, seeds: range = range(1), config: Config = CONFIG, folds: tuple[int, ...] | None = None
) -> dict[str, NDArray[np.float32]]:
    """Weights of models that were never trained."""
    config = change_config(config, {"train.seed": seeds.start, "train.seeds": len(seeds)})
    settings = [replica.model for replica in build_replicas(0, config, dataset, folds)]
    shape = stack_shape(config, dataset)
    model = FusionModel(
        dataset.clips.task, settings, shape.dims, tuple(dataset.encoders), shape.latent_dim, torch.device("cpu")
    )
    return {
        f"fold{settings[replica].fold}.seed{settings[replica].seed}.{name}": parameter.value[row].detach().numpy()
        for name, parameter in model.parameters.items()
        for row, replica in enumerate(parameter.holders.tolist())
    }


def make_artifacts(config: Config, arrays: dict[str, NDArray[Any]]) -> dict[str, bytes | Path]:
    npz = io.BytesIO()
    halved: dict[str, Any] = {
        name: values.astype(np.float16) if values.dtype.kind == "f" else values for name, values in arrays.items()
    }
    np.savez_compressed(npz, **halved)
    return {"config.yaml": dump_config(config).encode(), "outputs.npz": npz.getvalue()}


def make_trial(dataset: Dataset, number: int, score: float, config: Config = CONFIG, **changes: Any) -> TrialLog:
    fields: dict[str, Any] = {
        "study": "fusion-v1",
        "number": number,
        "state": "complete",
        "config_id": config_id(config),
        "config": flatten(config),
        "scores": {"score": score},
        "artifacts": make_artifacts(config, make_outputs(dataset, config.train.seeds, number)),
        "weights": make_weights(dataset, range(config.train.seed, config.train.seed + config.train.seeds), config),
    }
    return TrialLog(**fields | changes)


def make_trials(
    dataset: Dataset, noise: Iterable[float], first: float = 0.5, step: float = 0.05, **changes: object
) -> list[TrialLog]:
    """Trials whose outputs show the labels through so much noise, each with a score a step below the one before."""
    trials = []
    for number, one in enumerate(noise):
        config = change_config(CONFIG, {"train.seed": number, **changes})
        artifacts = make_artifacts(config, make_outputs(dataset, seed=number, noise=one, first_seed=number))
        trials.append(make_trial(dataset, number, first - step * number, config, artifacts=artifacts))
    return trials


def make_confirmation(dataset: Dataset, number: int, scores: tuple[float, ...]) -> ConfirmationLog:
    """Retrained with as many seeds as scores, from 100."""
    n_seeds = len(scores)
    config = change_config(CONFIG, {"train.seeds": n_seeds, "train.seed": 100})
    return ConfirmationLog(
        "fusion-v1",
        number,
        scores,
        tuple(range(100, 100 + n_seeds)),
        make_artifacts(config, make_outputs(dataset, n_seeds, number, first_seed=100)),
        make_weights(dataset, range(100, 100 + n_seeds)),
    )


def write_study(folder: StudyFolder, dataset: Dataset, *logs: TrialLog | ConfirmationLog) -> StudyFolder:
    with Journal(folder) as journal:
        settings = {"data.path": str(dataset.path), "data.encoders": list(dataset.encoders)}
        about = StudyLog("fusion-v1", dataset.name, dataset.fingerprint, git_commit="abc123", settings=settings)
        journal.record_study(about)
        for log in logs:
            if isinstance(log, TrialLog):
                journal.record_trial(log)
            else:
                journal.record_confirmation(log)
        journal.record_outcome(OutcomeLog("fusion-v1", "finished", scores={"score_best": 0.5, "score_selected": 0.4}))
    return folder
