"""A stack of models that are fitted in one step: what `engine.Stack` is to networks, with one epoch.

Replicas that share a fold, their features and most of a fit's work (kernels that differ in lambda) are fitted together;
replicas that differ in their seed alone are fitted once, unless the fit draws random numbers.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from rfe.data.folds import ALL_TRAIN, training_clips
from rfe.data.metadata import Clips
from rfe.model.fitted import FittedModel, FittedOutputs, PoolFeatures, TrainingClips, Weights
from rfe.training.balance import clip_weights
from rfe.training.batches import BatchPlan
from rfe.training.build import Replica, StackShape
from rfe.training.engine import EpochLosses, Stack
from rfe.training.inputs import FeatureSource
from rfe.training.record import ReplicaState


class FittedStack:
    """A stack of fitted models; arguments as `engine.Stack`."""

    def __init__(
        self,
        replicas: Sequence[Replica],
        shape: StackShape,
        names: tuple[str, ...],
        clips: Clips,
        source: FeatureSource,
        device: torch.device,
    ) -> None:
        self.replicas, self.shape, self.names, self.clips, self.device = list(replicas), shape, names, clips, device
        self.source = source
        """Where features come from."""
        self.plan = BatchPlan(clips, (ALL_TRAIN,) if shape.all_train else clips.folds, shape.batch_size)
        self.epoch = [0] * len(self.replicas)
        """1 where a replica is fitted."""
        self._weights: list[Weights] = [{} for _ in self.replicas]

    def train_epoch(self) -> EpochLosses:
        """Fit every replica."""
        loss = np.zeros(len(self.replicas))
        with threadpool_limits(torch.get_num_threads()):
            for models, members in self._groups():
                first = self.replicas[members[0][0]]
                fits = type(models[0]).fit(models, self._training_clips(first))
                for fit, positions in zip(fits, members, strict=True):
                    for position in positions:
                        self._weights[position], loss[position] = fit.weights, fit.loss
        self.epoch = [1] * len(self.replicas)
        return EpochLosses(loss, np.zeros_like(loss), np.full_like(loss, np.nan))

    def outputs(self, clips_of: Sequence[NDArray[np.int64]]) -> list[FittedOutputs]:
        """[replica] outputs on some clips.

        Args:
            clips_of: [replica] positions in the data set, equal for replicas of one fold.
        """
        found: dict[int, FittedOutputs] = {}
        with threadpool_limits(torch.get_num_threads()):
            for models, members in self._groups():
                first = members[0][0]
                features = self._features(self.replicas[first], clips_of[first])
                weights = [self._weights[positions[0]] for positions in members]
                each = type(models[0]).predict(models, weights, features, self.clips.task)
                for outputs, positions in zip(each, members, strict=True):
                    found |= dict.fromkeys(positions, outputs)
        return [found[position] for position in range(len(self.replicas))]

    def take(self, kept: Sequence[bool]) -> None:
        """Keep only the replicas where `kept` is True (at least one)."""
        rows = [position for position, keep in enumerate(kept) if keep]
        self.replicas = [self.replicas[row] for row in rows]
        self.epoch = [self.epoch[row] for row in rows]
        self._weights = [self._weights[row] for row in rows]

    def slices(self, replica: int) -> ReplicaState:
        """One replica's arrays; none before it is fitted."""
        return ReplicaState(
            self.epoch[replica], {f"value/{name}": value for name, value in self._weights[replica].items()}
        )

    def restore(self, replica: int, state: ReplicaState) -> None:
        """Put back what `slices` took."""
        self.epoch[replica] = min(1, state.epoch)
        self._weights[replica] = {
            address.removeprefix("value/"): array
            for address, array in state.arrays.items()
            if address.startswith("value/")
        }

    def weights(self, replica: int) -> Weights:
        """Name -> array: what one replica predicts from."""
        return self._weights[replica]

    def _groups(self) -> Iterator[tuple[list[FittedModel], list[list[int]]]]:
        """(distinct models that are fitted together, the positions of each one's replicas)."""
        groups: dict[Hashable, dict[FittedModel, list[int]]] = {}
        for position, one in enumerate(self.replicas):
            model = one.fitted
            assert model is not None
            n_clips = len(self._training(one))
            seed = one.model.seed if model.is_random(n_clips) else None
            views = tuple(one.views.items())
            key = (one.model.fold, seed, views, one.train.class_balance, one.train.training_actors, model.key())
            groups.setdefault(key, {}).setdefault(model, []).append(position)
        for members in groups.values():
            yield list(members), list(members.values())

    def _training(self, one: Replica) -> NDArray[np.int64]:
        return training_clips(self.clips, one.model.fold, one.train.training_actors or None)

    def _training_clips(self, one: Replica) -> TrainingClips:
        index = self._training(one)
        weight = clip_weights(self.clips, one.model.fold, one.train.class_balance, one.train.training_actors)
        return TrainingClips(
            self._features(one, index),
            self.clips.task,
            self.clips.state[index],
            weight[index],
            one.model.seed,
            one.model.fold,
        )

    def _features(self, one: Replica, index: NDArray[np.int64]) -> PoolFeatures:
        rows = torch.from_numpy(index).to(self.source.available.device)
        return PoolFeatures(
            {
                self.names[encoder]: self.source.view(view).index_select(0, rows).cpu().numpy()
                for encoder, view in one.views.items()
            },
            {
                self.names[encoder]: self.source.available[encoder].index_select(0, rows).cpu().numpy()
                for encoder in one.views
            },
        )


AnyStack = Stack | FittedStack


def open_stack(
    replicas: Sequence[Replica],
    shape: StackShape,
    names: tuple[str, ...],
    clips: Clips,
    source: FeatureSource,
    device: torch.device,
) -> AnyStack:
    """A stack of the replicas' kind; arguments as `engine.Stack`."""
    kind = Stack if replicas[0].fitted is None else FittedStack
    return kind(replicas, shape, names, clips, source, device)
