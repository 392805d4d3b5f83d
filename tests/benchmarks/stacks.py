"""Stacks and plain models of the compared sizes, on made-up features: what a step takes does not depend on values."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor

from rfe.data.metadata import Clips
from rfe.data.simulation.encoders import FULL_ENCODERS
from rfe.model.settings import ReplicaSettings
from rfe.task import BLEMORE
from rfe.training.build import FeatureView, Replica, StackShape
from rfe.training.engine import Stack
from rfe.training.settings import TrainSettings
from tests.benchmarks.peers import PlainFusion, plain_step

N_SOURCE, N_TARGET, N_FOLDS = 2456, 594, 5
REDUCED = 128
"""Dimensions that PCA leaves of an encoder."""


@dataclass(frozen=True)
class Size:
    """What a model sees, and how wide it is."""

    name: str
    dims: tuple[int, ...]
    latent: int
    batch: int = 64


DEMO = Size("demo", (64,) * 6, 64)
WIDE = Size("wide", (768,) * 8, 128)
FULL = Size("full", tuple(one.dim for one in FULL_ENCODERS[:6]), 128)
WIDE_PCA = Size("wide, PCA", tuple(min(dim, REDUCED) for dim in WIDE.dims), 128)
FULL_PCA = Size("full, PCA", tuple(min(dim, REDUCED) for dim in FULL.dims), 128)


def make_clips(n_source: int = N_SOURCE) -> Clips:
    """The official number of clips, or another, in five folds."""
    stream = np.random.default_rng(0)
    n_clips = n_source + N_TARGET
    actor = np.concatenate([np.arange(n_source) % 47, 47 + np.arange(N_TARGET) % 11])
    fold = np.concatenate([np.arange(n_source) % 47 % N_FOLDS, np.full(N_TARGET, -1)])
    state = np.concatenate([stream.integers(0, BLEMORE.n_states, n_source), np.full(N_TARGET, -1)])
    names = np.array([f"clip_{index}" for index in range(n_clips)])
    return Clips(names, actor, tuple(f"actor_{index}" for index in range(58)), fold, state, n_source, BLEMORE)


class MadeUpFeatures:
    """Normal numbers; all folds see the same, as reading them is not what is timed."""

    def __init__(self, size: Size, n_clips: int, device: torch.device) -> None:
        draw = torch.Generator().manual_seed(0)
        self.available = torch.ones(len(size.dims), n_clips, dtype=torch.bool, device=device)
        self.values = [torch.randn(n_clips, dim, generator=draw).to(device) for dim in size.dims]

    def view(self, view: FeatureView) -> Tensor:
        return self.values[view.encoder]


class StackTrainer:
    """Some configurations of five folds in one stack."""

    def __init__(
        self,
        size: Size,
        n_configs: int,
        features: MadeUpFeatures,
        clips: Clips,
        *,
        pool: tuple[int, ...] | None = None,
        kind: str = "fusion",
        dropout: float = 0.2,
        device: torch.device | None = None,
    ) -> None:
        pool = tuple(range(len(size.dims))) if pool is None else pool
        replicas = []
        for number, rate in enumerate(np.geomspace(5e-4, 5e-3, n_configs).tolist()):
            kept = 1 + number % len(pool)
            for fold in range(N_FOLDS):
                views = {encoder: FeatureView(encoder, fold, "actor", "known", None, 54) for encoder in pool}
                settings = ReplicaSettings(seed=0, fold=fold, pool=pool, dropout=dropout, n_kept=kept)
                replicas.append(Replica(number, settings, TrainSettings(lr=rate, epochs=1000), views))
        shape = StackShape(kind, size.latent, size.batch, 0, size.dims)
        names = tuple(f"encoder_{index}" for index in range(len(size.dims)))
        self.stack = Stack(replicas, shape, names, clips, features, device or torch.device("cpu"))
        self.steps_per_epoch = self.stack.plan.n_steps
        self.n_replicas = len(replicas)

    def train(self, steps: int) -> None:
        """Some optimiser steps of every replica."""
        self.stack.plan.n_steps = steps
        self.stack.train_epoch()


class PlainTrainer:
    """One model on one fold; `compiled` by torch.compile, whose graphs spare a GPU the launch of each operation."""

    def __init__(
        self, size: Size, features: MadeUpFeatures, clips: Clips, device: str = "cpu", compiled: bool = False
    ) -> None:
        torch.manual_seed(0)
        model = PlainFusion(list(size.dims), size.latent, 2, 0.2, 0.5).to(device)
        self._optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2, fused=True)
        self._model: torch.nn.Module = torch.compile(model, mode="reduce-overhead") if compiled else model
        self._features, self._device = features.values, device
        state = np.maximum(clips.state, 0)
        self._soft = torch.from_numpy(BLEMORE.state_salience[state]).float().to(device)
        self._members = torch.from_numpy(np.asarray(BLEMORE.set_members)[BLEMORE.state_set[state]]).float().to(device)
        self._batches = torch.from_numpy(np.random.default_rng(0).integers(0, clips.n_source, (100, size.batch))).to(
            device
        )

    def train(self, steps: int) -> None:
        """Some optimiser steps."""
        for batch in self._batches[:steps]:
            plain_step(self._model, self._optimizer, self._features, self._members, self._soft, batch)


class SklearnTrainer:
    """scikit-learn's own network with one hidden ReLU layer, on one fold's training clips."""

    def __init__(self, size: Size, features: MadeUpFeatures, clips: Clips, epochs: int) -> None:
        mine = np.flatnonzero(clips.fold[: clips.n_source] != 0)
        self._features = torch.cat(features.values, 1).numpy()[mine]
        self._emotion = BLEMORE.state_salience[clips.state[mine]].argmax(-1)  # it takes hard labels
        self._model = MLPClassifier(
            (size.latent,), batch_size=size.batch, learning_rate_init=1e-3, max_iter=epochs, tol=0.0, random_state=0
        )

    def train(self) -> None:
        """Some epochs from the start, on one thread."""
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit(self._features, self._emotion)
