"""A small made-up data set and replicas on it, for tests of the engine; no files."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rfe.data.metadata import Clips
from rfe.model.settings import ReplicaSettings
from rfe.task import BLEMORE, Task
from rfe.training.build import FeatureView, Replica, StackShape
from rfe.training.engine import Stack
from rfe.training.settings import TrainSettings

DIMS = (12, 8, 20)
NAMES = ("face", "voice", "body")
N_SOURCE, N_TARGET = 180, 40


def make_clips(seed: int = 0, task: Task = BLEMORE) -> Clips:
    """180 training clips of 9 actors in 3 folds and 40 target clips."""
    generator = np.random.default_rng(seed)
    n_clips = N_SOURCE + N_TARGET
    actor = np.concatenate([np.arange(N_SOURCE) % 9, 9 + np.arange(N_TARGET) % 2])
    fold = np.concatenate([np.arange(N_SOURCE) % 9 % 3, np.full(N_TARGET, -1)])
    possible = np.flatnonzero(task.state_possible)
    drawn = possible[generator.integers(0, len(possible), N_SOURCE)]
    state = np.concatenate([drawn, np.full(N_TARGET, -1)])
    names = np.array([f"clip_{index}" for index in range(n_clips)])
    return Clips(names, actor, tuple(f"actor_{a}" for a in range(11)), fold, state, N_SOURCE, task)


class MadeUpFeatures:
    """Features that show the labels of training clips through noise; two clips lack the second encoder."""

    def __init__(self, clips: Clips, seed: int = 1) -> None:
        generator = np.random.default_rng(seed)
        content = clips.task.state_salience[np.maximum(clips.state, 0)]
        self.available = torch.ones(len(DIMS), len(clips), dtype=torch.bool)
        self.available[1, [3, 50]] = False
        self.views = {}
        for encoder, dim in enumerate(DIMS):
            values = content @ generator.normal(size=(clips.task.n_classes, dim)) + 0.5 * generator.normal(
                size=(len(clips), dim)
            )
            self.views[encoder] = torch.from_numpy(values.astype(np.float32)) * self.available[encoder].unsqueeze(1)

    def to(self, device: str) -> "MadeUpFeatures":
        self.available = self.available.to(device)
        self.views = {encoder: values.to(device) for encoder, values in self.views.items()}
        return self

    def view(self, view: FeatureView) -> Tensor:
        return self.views[view.encoder]


def make_replica(
    configuration: int = 0,
    fold: int = 0,
    seed: int = 0,
    pool: tuple[int, ...] = (0, 1, 2),
    model: dict[str, Any] | None = None,
    train: dict[str, Any] | None = None,
) -> Replica:
    settings = {"n_kept": 2, "dropout": 0.2} | (model or {})
    return Replica(
        configuration,
        ReplicaSettings(seed=seed, fold=fold, pool=pool, **settings),
        TrainSettings(**({"epochs": 4, "lr": 3e-3} | (train or {}))),
        {encoder: FeatureView(encoder, fold, "fold", "unknown", None, 54) for encoder in pool},
    )


def make_stack(
    replicas: list[Replica],
    n_drawn: int = 0,
    clips: Clips | None = None,
    kind: str = "fusion",
    device: str = "cpu",
    low_precision: bool | None = None,
    all_train: bool = False,
    members: int = 1,
) -> Stack:
    clips = clips or make_clips()
    shape = StackShape(kind, 16, 32, n_drawn, DIMS, all_train, members)
    features = MadeUpFeatures(make_clips(task=clips.task)).to(device)
    return Stack(replicas, shape, NAMES, clips, features, torch.device(device), low_precision)


def train(stack: Stack, epochs: int) -> None:
    for _ in range(epochs):
        stack.train_epoch()
