"""The replica engine: many models trained as one stack of tensors.

Contract: a replica's result does not depend on its neighbours; replicas can be dropped while the rest go on; a
replica's state can be taken out and put into another stack, which goes on to the same result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rfe.data.folds import ALL_TRAIN
from rfe.data.metadata import Clips
from rfe.model.concat_mlp import ConcatMlp
from rfe.model.fusion_model import FusionModel
from rfe.model.stack import ModelOutput, StackedModel
from rfe.model.transfer import to_device
from rfe.task import Task
from rfe.training.balance import clip_weights
from rfe.training.batches import BatchPlan
from rfe.training.build import Replica, StackShape
from rfe.training.inputs import FeatureSource, StackInputs, StepRows
from rfe.training.losses import adaptation_losses, encoders_loss, ratios_loss, smoothed, supervised_loss
from rfe.training.optimizer import Run, StackedAdam, find_runs, take_state
from rfe.training.record import ReplicaState
from rfe.training.settings import TrainTensors

RAMP = 0.2
"""Share of the steps over which the adaptation strength rises from 0."""


@dataclass
class EpochLosses:
    """Means over one epoch's steps, [replica] each."""

    loss: NDArray[np.float64]
    adaptation: NDArray[np.float64]
    """Unweighted discrepancy between domains; 0 without adaptation."""
    discriminator_accuracy: NDArray[np.float64]
    """NaN without a discriminator."""


class Stack:
    """A stack of replicas in training.

    Args:
        replicas: of one `shape`.
        shape: their common tensor shape.
        names: encoders of the data set.
        clips: of the data set.
        source: where features come from.
        device: CPU or GPU.
        low_precision: run the forward pass in bf16 with float32 weights; default on a GPU only.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        shape: StackShape,
        names: tuple[str, ...],
        clips: Clips,
        source: FeatureSource,
        device: torch.device,
        low_precision: bool | None = None,
    ) -> None:
        self.replicas = list(replicas)
        self._low_precision = device.type == "cuda" if low_precision is None else low_precision
        self.shape, self.clips, self.device = shape, clips, device
        kind = ConcatMlp if shape.kind == "concat_mlp" else FusionModel
        self.model: StackedModel = kind(
            clips.task,
            [one.model for one in self.replicas],
            shape.dims,
            names,
            shape.latent_dim,
            device,
            shape.members,
        )
        self.optimizer = StackedAdam(self.model.parameters)
        self.plan = BatchPlan(clips, (ALL_TRAIN,) if shape.all_train else clips.folds, shape.batch_size)
        self.epoch = [0] * len(self.replicas)
        """Epochs each replica has finished."""
        task, state = clips.task, np.maximum(clips.state, 0)
        tables = task.state_salience[state], np.eye(task.n_sets, dtype=np.float32)[task.state_set[state]]
        self._targets = tuple(torch.from_numpy(one).to(device) for one in tables)  # [clip, class] and [clip, set]
        self._shares = torch.from_numpy(_pair_shares(task, state)).to(device)
        self._actor = torch.from_numpy(clips.actor).to(device)
        self._source = source
        self._settle()
        self.average = {name: value.detach().clone() for name, value in self.model.values().items()}
        """Running averages of the weights; equal to the weights for replicas without one."""

    def _settle(self) -> None:
        """Recompute everything that depends on which replicas are in the stack."""
        self.inputs = StackInputs(self.replicas, self.shape, self.model, self._source)
        self.settings = TrainTensors([one.train for one in self.replicas], self.device)
        weights = [
            clip_weights(self.clips, one.model.fold, one.train.class_balance, one.train.training_actors)
            for one in self.replicas
        ]
        plain = all(one.train.class_balance == "none" for one in self.replicas)
        self._clip_weight = None if plain else torch.from_numpy(np.stack(weights)).to(self.device)  # [replica, clip]

    @property
    def source(self) -> FeatureSource:
        """Where features come from."""
        return self._source

    @source.setter
    def source(self, source: FeatureSource) -> None:
        self._source = self.inputs.source = source

    def train_epoch(self) -> EpochLosses:
        """One epoch of every replica."""
        keys: dict[tuple[int, int, int, str, int], int] = {}
        key = [
            keys.setdefault(
                (one.train.data_seed, one.model.fold, epoch, one.train.target, one.train.training_actors), len(keys)
            )
            for one, epoch in zip(self.replicas, self.epoch, strict=True)
        ]
        orders = []
        for data_seed, fold, epoch, target, n_actors in keys:
            order = self.plan.order(data_seed, fold, epoch, n_actors)
            if self.shape.n_drawn:
                drawn = self.plan.draws(data_seed, fold, target, epoch, self.shape.n_drawn, n_actors)
                order = np.concatenate([order, drawn], axis=1)
            orders.append(order)
        clips = to_device(np.stack(orders), self.device)  # [key, step, clip]
        rows = self.inputs.rows(key)
        runs = find_runs([one.train for one in self.replicas], self.epoch)
        n_replicas = len(self.replicas)
        total = torch.zeros(3, n_replicas, device=self.device, dtype=torch.float64)
        for step in range(self.plan.n_steps):
            total += self._step(clips[:, step], rows, runs, step)
        self.epoch = [epoch + 1 for epoch in self.epoch]
        loss, adaptation, accuracy = (total / self.plan.n_steps).cpu().numpy()
        return EpochLosses(loss, adaptation, accuracy)

    def _step(self, clips: Tensor, rows: StepRows, runs: Sequence[Run], step: int) -> Tensor:
        """One optimiser step on `clips` [key, clip]; returns [3, replica] loss, adaptation, accuracy."""
        n_batch = self.shape.batch_size
        count = [epoch * self.plan.n_steps + step for epoch in self.epoch]
        length = [one.train.epochs * self.plan.n_steps for one in self.replicas]
        progress = [c / n for c, n in zip(count, length, strict=True)]
        with self.precision():
            features, available = self.inputs.gather(clips, rows)
            noise = self.inputs.training_noise(count, progress)
            output = self.model(features, available, noise)
        mine = clips[rows.key, :n_batch]  # [replica, clip]
        soft_label, sets = (table.index_select(0, mine.flatten()).view(*mine.shape, -1) for table in self._targets)
        clip_weight = None if self._clip_weight is None else self._clip_weight.gather(1, mine)
        if self.settings.label_smoothing is not None:
            soft_label = smoothed(soft_label, self.settings.label_smoothing)
            sets = smoothed(sets, self.settings.label_smoothing, self.model.sets.impossible)
        output_of_batch = _first(output, n_batch, self.shape.members)
        loss = encoders_loss(output_of_batch, sets, clip_weight, self.settings)
        shares = None
        if self.settings.lambda_ratio is not None:
            shares = self._shares.index_select(0, mine.flatten()).view(*mine.shape, -1)
            shares = self._of_members(shares if noise.mixing is None else noise.mixing.mix(shares))
        if noise.mixing is not None:
            soft_label, sets = noise.mixing.mix(soft_label), noise.mixing.mix(sets)
            clip_weight = None if clip_weight is None else noise.mixing.mix(clip_weight)
        weight = None if clip_weight is None else self._of_members(clip_weight)
        loss = loss + supervised_loss(
            self.model.sets,
            output_of_batch,
            self._of_members(soft_label),
            self._of_members(sets),
            weight,
            self.model.scalars.by_states,
            self.settings,
        )
        loss = loss + ratios_loss(self.model.sets, output_of_batch, shares, weight, self.settings)
        adaptation = torch.zeros_like(loss)
        accuracy = torch.full_like(loss, float("nan"))
        if any(one.train.adaptation != "none" for one in self.replicas):
            adaptation, accuracy = adaptation_losses(
                output.fused_feature, n_batch, self._actor[mine], progress, self.model.values(), self.settings
            )
            ramp = to_device([min(1.0, p / RAMP) for p in progress], self.device)
            loss = loss + self.settings.adaptation_strength * ramp * adaptation
        names = list(self.model.parameters)
        gradients = torch.autograd.grad(
            loss.sum(), [self.model.parameters[name].value for name in names], allow_unused=True
        )
        used = {name: g.float() for name, g in zip(names, gradients, strict=True) if g is not None}
        self.optimizer.step(self.model.parameters, used, self.settings.clip_norm, runs, self.plan.n_steps, step)
        if self.settings.ema_decay is not None:
            self._update_average(count, self.settings.ema_decay)
        return torch.stack([loss.detach(), adaptation.detach(), accuracy]).double()

    def _of_members(self, values: Tensor) -> Tensor:
        """[replica, clip, ...] -> [replica, clip x member, ...]."""
        return values if self.shape.members == 1 else values.repeat_interleave(self.shape.members, 1)

    @torch.no_grad()
    def _update_average(self, count: list[int], decay: Tensor) -> None:
        warm = to_device([(1 + c) / (10 + c) for c in count], self.device)
        keep = torch.minimum(decay, warm)  # [replica]; 0 copies the weights
        for name, parameter in self.model.parameters.items():
            weight = (1 - keep)[parameter.holders].view(-1, *[1] * (parameter.value.dim() - 1))
            self.average[name].lerp_(parameter.value, weight.expand_as(parameter.value))

    def take(self, kept: Sequence[bool]) -> None:
        """Keep only the replicas where `kept` is True (at least one)."""
        self.optimizer.take(kept, self.model.parameters)
        take_state(self.average, kept, self.model.parameters)
        self.model.take(kept)
        self.replicas = [one for one, keep in zip(self.replicas, kept, strict=True) if keep]
        self.epoch = [epoch for epoch, keep in zip(self.epoch, kept, strict=True) if keep]
        self._settle()

    def slices(self, replica: int) -> ReplicaState:
        """One replica's parameters, averages and optimiser state, on the CPU."""
        groups: dict[str, dict[str, Tensor]] = {
            "value": {name: value.detach() for name, value in self.model.values().items()},
            "average": self.average,
            "first": self.optimizer.first,
            "second": self.optimizer.second,
        }
        arrays: dict[str, NDArray[np.float32]] = {}
        for group, tensors in groups.items():
            for name, tensor in tensors.items():
                row = self._row(name, replica)
                if row is not None:
                    arrays[f"{group}/{name}"] = tensor[row].float().cpu().numpy().copy()
        return ReplicaState(self.epoch[replica], arrays)

    @torch.no_grad()
    def restore(self, replica: int, state: ReplicaState) -> None:
        """Put back what `slices` took, from any stack of the same shape."""
        groups = {
            "value": self.model.values(),
            "average": self.average,
            "first": self.optimizer.first,
            "second": self.optimizer.second,
        }
        for address, array in state.arrays.items():
            group, name = address.split("/", 1)
            row = self._row(name, replica)
            groups[group][name].detach()[row] = torch.from_numpy(array).to(self.device)
        self.epoch[replica] = state.epoch

    def precision(self) -> torch.autocast:
        """The context of every forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._low_precision)

    def prediction_values(self) -> dict[str, Tensor]:
        """Name -> [holder, ...]: the weights that answer, running averages where a replica has one."""
        return self.model.values() if self.settings.ema_decay is None else self.average

    def weights(self, replica: int) -> dict[str, NDArray[np.float32]]:
        """Name -> array: the weights that answer for one replica."""
        values = self.prediction_values()
        rows = {name: self._row(name, replica) for name in values}
        return {
            name: value.detach()[rows[name]].float().cpu().numpy().copy()
            for name, value in values.items()
            if rows[name] is not None and not name.startswith("discriminator")
        }

    def _row(self, name: str, replica: int) -> int | None:
        holders = self.model.parameters[name].replicas
        return holders.index(replica) if replica in holders else None


def _pair_shares(task: Task, state: NDArray[np.int64]) -> NDArray[np.float32]:
    """[clip, 2 x pair] salience of each pair's two classes in clips that show that very pair, else 0."""
    shown = task.state_set[state][:, None] == task.n_classes + np.arange(task.n_pairs)
    saliences = task.state_salience[state][:, np.array(task.pairs, np.int64).reshape(-1, 2)]  # [clip, pair, 2]
    return np.asarray(saliences * shown[..., None], np.float32).reshape(len(state), -1)


def _first(output: ModelOutput, n_clips: int, n_members: int) -> ModelOutput:
    """What a loss reads of the output on the first `n_clips` clips."""
    selection, n_answers = output.selection, n_clips * n_members
    if output.log_fused.shape[1] == n_answers:
        return output
    if selection is not None:
        selection = type(selection)(*(part[:, :, :n_clips] for part in selection))
    return ModelOutput(
        output.presence_logits[:, :n_answers],
        output.salience_logits[:, :n_answers],
        output.log_salience[:, :n_answers],
        output.log_fused[:, :n_answers],
        output.fused_feature,
        output.scores[:, :, :n_clips],
        selection,
        None if output.pair_logits is None else output.pair_logits[:, :n_answers],
        None if output.log_auxiliary is None else output.log_auxiliary[:, :, :n_clips],
        None if output.leanings is None else output.leanings[:, :n_answers],
    )
