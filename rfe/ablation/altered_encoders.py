"""What the base's models lose when one encoder is taken from them at evaluation.

A gate's weight says how much of an encoder's vector is fused, not what the Score owes to it. Here nothing is trained:
the fold models answer their held-out clips once more with an encoder **masked** (as if the clip had none) or
**permuted** (each clip shows another held-out clip's features of it: the same distribution, no content). Thresholds and
calibration are those of the untouched outputs. Source of permutation: Breiman, Machine Learning 2001.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor

from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.data.folds import held_out_clips
from rfe.model.random import stream
from rfe.training.assembly import held_out_place
from rfe.training.batches import FeatureBank
from rfe.training.build import FeatureView, build_replicas, stack_shape
from rfe.training.fitted_stack import AnyStack, open_stack
from rfe.training.inputs import FeatureSource
from rfe.training.prediction import predict
from rfe.training.record import ReplicaState
from rfe.training.scoring import OutOfFold, answer_with

PERMUTATIONS = 3
States = NDArray[np.int64]


@dataclass(frozen=True)
class AlteredAnswers:
    """A configuration's answers with and without each encoder of its pool."""

    own: States
    """[seed, source clip] nothing altered."""
    masked: Mapping[str, States]
    """Encoder -> [seed, source clip]"""
    permuted: Mapping[str, States]
    """Encoder -> [permutation, seed, source clip]"""


class AlteredFeatures:
    """Features in which one encoder is hidden, or stands for other clips.

    Args:
        source: the features as they are.
        encoder: index of the altered one.
        order: [clip] whose features each clip shows; None: it shows none.
    """

    def __init__(self, source: FeatureSource, encoder: int, order: Tensor | None) -> None:
        self._source, self._encoder, self._order = source, encoder, order
        self._views: dict[FeatureView, Tensor] = {}
        self.available = source.available.clone()
        self.available[encoder] = False if order is None else self.available[encoder][order]

    def view(self, view: FeatureView) -> Tensor:
        """[clip, dim] float32 of all clips."""
        if view.encoder != self._encoder or self._order is None:
            return self._source.view(view)
        if view not in self._views:
            self._views[view] = self._source.view(view).index_select(0, self._order)
        return self._views[view]


def alter_encoders(config: Config, weights: Path, dataset: Dataset, cache: FeatureCache) -> AlteredAnswers:
    """Answers of a configuration's fold models with each encoder altered in turn.

    Args:
        config: as the models were trained.
        weights: safetensors file of the fold models.
        dataset, cache: what they were trained on.
    """
    stack = restore_stack(config, dict(load_file(weights)), dataset, cache)
    own = _held_out(stack, config, dataset)
    source = stack.source
    pool = [list(dataset.encoders)[index] for index in stack.replicas[0].model.pool]
    altered: list[OutOfFold] = []
    for name in pool:
        encoder = list(dataset.encoders).index(name)
        orders: list[Tensor | None] = [None]
        orders += [torch.from_numpy(_permutation(dataset, name, turn)) for turn in range(PERMUTATIONS)]
        for order in orders:
            stack.source = AlteredFeatures(source, encoder, order)
            altered.append(_held_out(stack, config, dataset))
    states = answer_with(config, own, [own, *altered], dataset.clips)
    each = 1 + PERMUTATIONS
    blocks = {name: states[1 + i * each : 1 + (i + 1) * each] for i, name in enumerate(pool)}
    return AlteredAnswers(
        states[0],
        {name: block[0] for name, block in blocks.items()},
        {name: block[1:] for name, block in blocks.items()},
    )


def restore_stack(
    config: Config, weights: Mapping[str, NDArray[np.float32]], dataset: Dataset, cache: FeatureCache
) -> AnyStack:
    """The fold models of a configuration as a stack that predicts."""
    device = torch.device("cpu")
    bank = FeatureBank(dataset, cache, device)
    replicas = build_replicas(0, config, dataset)
    stack = open_stack(replicas, stack_shape(config, dataset), tuple(dataset.encoders), dataset.clips, bank, device)
    for position, replica in enumerate(replicas):
        prefix = f"fold{replica.model.fold}.seed{replica.model.seed}."
        mine = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        groups: dict[str, Any] = {f"{group}/{name}": v for group in ("value", "average") for name, v in mine.items()}
        stack.restore(position, ReplicaState(config.train.epochs, groups))
    return stack


def _held_out(stack: AnyStack, config: Config, dataset: Dataset) -> OutOfFold:
    outputs = OutOfFold.empty(dataset.clips.task, config, dataset.clips.n_source)
    predictions = predict(stack)
    for replica in range(len(stack.replicas)):
        held_out, seed = held_out_place(stack, replica)
        outputs.fill(predictions, replica, seed, held_out)
    return outputs


def _permutation(dataset: Dataset, encoder: str, turn: int) -> NDArray[np.int64]:
    """[clip] a permutation within each fold; target clips stay."""
    order = np.arange(len(dataset.clips))
    for fold in dataset.clips.folds:
        held_out = held_out_clips(dataset.clips, fold)
        order[held_out] = stream(turn, fold, f"permute {encoder}").permutation(held_out)
    return order
