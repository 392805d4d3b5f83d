"""Batches: the clips of each step, and their features for a stack.

Batch order is a function of (data seed, fold, epoch) alone, so all replicas of a fold share their batches.
"""

import math
import warnings
from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.data.folds import held_out_clips, training_clips
from rfe.data.metadata import Clips
from rfe.model.random import stream
from rfe.training.build import FeatureView


class FeatureBank:
    """Prepared features as tensors, each opened once: mapped on the CPU, copied to a GPU."""

    def __init__(self, dataset: Dataset, cache: FeatureCache, device: torch.device) -> None:
        self._cache, self._device = cache, device
        self._names = tuple(dataset.encoders)
        self.views: dict[FeatureView, Tensor] = {}
        """Those that are open."""
        masks = np.stack([dataset.encoders[name].available for name in self._names])
        self.available = torch.from_numpy(masks).to(device)

    def view(self, view: FeatureView) -> Tensor:
        """[clip, dim] float32 of all clips, 0 where not available."""
        if view not in self.views:
            prepared = self._cache.prepared(self._names[view.encoder], view.fold, **view.preparation)
            with warnings.catch_warnings():
                # The map is read-only, a notion torch lacks; nothing writes to a view.
                warnings.filterwarnings("ignore", message=".*not writable.*")
                self.views[view] = torch.from_numpy(prepared.values).to(self._device)
        return self.views[view]

    def keep_only(self, views: Collection[FeatureView]) -> None:
        """Drop the others, whose copies would fill a GPU as a search tries widths and standardisations."""
        self.views = {view: values for view, values in self.views.items() if view in views}


class BatchPlan:
    """Batches of a data set's folds.

    Every fold takes the same number of steps an epoch, enough for its largest training set; a smaller one, or one of
    fewer actors, wraps around, so that its first clips come twice. A fold's batches therefore depend on the data set,
    the batch size and the number of its training actors only.

    Args:
        clips: of the data set.
        folds: the held-out folds of the study; -1 trains on all clips.
        batch_size: clips a step.
    """

    def __init__(self, clips: Clips, folds: Sequence[int], batch_size: int) -> None:
        self._clips = clips
        self.training = {fold: training_clips(clips, fold) for fold in folds}
        self.held_out = {fold: held_out_clips(clips, fold) for fold in folds}
        self.target = clips.target
        self.batch_size = batch_size
        self.n_steps = math.ceil(max(len(index) for index in self.training.values()) / batch_size)

    def order(self, data_seed: int, fold: int, epoch: int, n_actors: int = 0) -> NDArray[np.int64]:
        """[step, batch_size] clips of one epoch, of all training actors or of `n_actors` of them."""
        shuffled = stream(data_seed, fold, "order", epoch).permutation(self._training(fold, n_actors))
        return np.resize(shuffled, (self.n_steps, self.batch_size))

    def draws(
        self, data_seed: int, fold: int, target: str, epoch: int, n_drawn: int, n_actors: int = 0
    ) -> NDArray[np.int64]:
        """[step, 2 n_drawn] source then target clips for adaptation, with replacement, from a stream of their own.

        Args:
            target: `validation` (the fold's held-out clips) or `test` (the data's target clips).
            n_actors: how many training actors are used; 0: all.
        """
        generator = stream(data_seed, fold, f"domains/{target}", epoch)
        pool = self.held_out[fold] if target == "validation" else self.target
        source = generator.choice(self._training(fold, n_actors), (self.n_steps, n_drawn))
        return np.concatenate([source, generator.choice(pool, (self.n_steps, n_drawn))], axis=1)

    def _training(self, fold: int, n_actors: int) -> NDArray[np.int64]:
        return training_clips(self._clips, fold, n_actors) if n_actors else self.training[fold]


def padded(indices: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """[row, longest] with each row filled up by its first clip."""
    longest = max(len(index) for index in indices)
    return np.stack([np.concatenate([index, np.full(longest - len(index), index[0])]) for index in indices])
