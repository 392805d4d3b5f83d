"""Gated kernel ridge: one kernel ridge for each encoder and one for all together, weighted clip by clip.

A part e is a kernel ridge (`rfe.model.kernel_ridge`) on one encoder, or on the mean of all kernels. It answers each
training clip as if it had been fitted without it (`rfe.model.leave_one_out`); of a few lambdas it takes the one whose
answers have the highest likelihood of the true sets. With p_e and s_e the sets' and saliences' shares of part e,
clipped from below and normalised,

    log p(T | x) = sum_e u_e(x) log p_e(T | x) + const        log s(c | x) = sum_e v_e(x) log s_e(c | x) + const

a product of experts. The weights u_e, v_e >= 0 of a clip come from a small network of the part's own, which reads how
the part agrees with the others (`rfe.model.auxiliary.agreement`): an encoder that is wrong for this clip shows it by
being at odds with the others. It is trained on the leave-one-out answers, so that it sees the parts as they are on new
clips; a network's predictions of its own training clips are memorised and say nothing of that. `gate: fixed` trains one
u_e and v_e for all clips. A part weighs 0 where a clip lacks its encoder.

Source: Hinton, Neural Computation 2002 (product of experts); Wolpert, Neural Networks 1992 (training on answers to
unseen clips). The gate is ours.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from rfe.errors import ConfigError
from rfe.model.auxiliary import agreement
from rfe.model.fitted import (
    Fit,
    FittedModel,
    FittedOutputs,
    Float64,
    PoolFeatures,
    TrainingClips,
    Weights,
    check_shapes,
)
from rfe.model.kernels import CombinedKernel, Kind, median_distance
from rfe.model.leave_one_out import choose_penalty, log_shares
from rfe.model.random import stream
from rfe.model.settings import AGREEMENT_STATISTICS
from rfe.task import Task

FACTORS = (0.3, 1.0, 3.0)
"""Of `penalty`: the lambdas that each part chooses from."""
MOST_CLIPS = 20_000
"""Training clips whose kernel, factor and inverse fit into 5 GB; kernel ridge has landmarks for more."""
BLOCK = 2_048
"""Clips whose kernels to the training clips are in memory at a time."""
TOTAL_WEIGHT = 1.5
"""Sum of the parts' weights before the gate is trained: above 1, as experts that agree are surer than each alone."""
BATCH = 256
NETWORK = ("first", "first_bias", "second", "second_bias")
"""The gate's parameters, with a leading axis over the parts."""


@dataclass(frozen=True)
class GatedKernel(FittedModel):
    """See the module."""

    encoders: tuple[str, ...]
    kind: Kind = "laplace"
    bandwidth: float = 1.0
    """Factor of each encoder's median distance."""
    penalty: float = 1.0
    """Middle of the lambdas that each part chooses from, beside a kernel whose diagonal is 1."""
    gate: Literal["per_clip", "fixed"] = "per_clip"
    width: int = 16
    """Hidden units of each part's network."""
    epochs: int = 60
    """Of the gate's training."""
    lr: float = 5e-3
    weight_decay: float = 1e-2

    def key(self) -> Hashable:
        """Models that differ in their gate share all kernels."""
        return self.kind, self.bandwidth, self.penalty

    def is_random(self, n_clips: int) -> bool:
        """Never: gates of all seeds begin alike, so that these share one fit."""
        return False

    def check_size(self, n_clips: int) -> None:
        """See `FittedModel.check_size`."""
        if n_clips > MOST_CLIPS:
            raise ConfigError(
                f"model.kind: gated_kernel computes the kernels between all training clips, of which it can hold "
                f"{MOST_CLIPS:,}, but there are {n_clips:,}; use model.kind: kernel, which draws landmarks"
            )

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """Encoders of each part; all of them come last."""
        return (*((name,) for name in self.encoders if len(self.encoders) > 1), self.encoders)

    @classmethod
    def fit(cls, models: Sequence[Self], clips: TrainingClips) -> list[Fit]:
        """See `FittedModel.fit`. The loss is the gate's: mean negative log-likelihood of set and salience, nats."""
        first, features, task = models[0], clips.features, clips.task
        each = np.concatenate([np.eye(task.n_sets)[task.state_set], task.state_salience.astype(np.float64)], 1)
        targets = each[clips.state]  # [clip, set and class]
        mean = np.average(targets, 0, clips.weight)
        bandwidths = {
            name: first.bandwidth * median_distance(values[features.available[name]])
            for name, values in features.values.items()
        }
        available = _available(first, features)
        penalties = [factor * first.penalty for factor in FACTORS]
        coefficients, answers = [], []
        for part, there in zip(first.parts, available, strict=True):
            kernel = first._kernel(bandwidths, part).lower_triangle(features.of(part))
            solved, left_out = choose_penalty(kernel, targets, mean, clips.weight, there, task.n_sets, penalties)
            coefficients.append(solved)
            answers.append(left_out)
        readings = _Readings.of(np.stack(answers), available, task)
        shared = {
            **{f"landmarks.{name}": np.ascontiguousarray(features.values[name], np.float32) for name in first.encoders},
            "available": np.stack([features.available[name] for name in first.encoders], 1).astype(np.float32),
            "bandwidth": np.array([bandwidths[name] for name in first.encoders], np.float32),
            "mean": mean.astype(np.float32),
            "coefficients": np.stack(coefficients),
        }
        trained = [one._train_gate(readings, torch.from_numpy(targets).float(), clips) for one in models]
        return [Fit(shared | gate, loss) for gate, loss in trained]

    @classmethod
    def predict(
        cls, models: Sequence[Self], weights: Sequence[Mapping[str, Any]], features: PoolFeatures, task: Task
    ) -> list[FittedOutputs]:
        """See `FittedModel.predict`."""
        first, shared = models[0], weights[0]
        bandwidths = dict(zip(first.encoders, shared["bandwidth"].tolist(), strict=True))
        there = shared["available"] > 0
        trained = PoolFeatures(
            {name: shared[f"landmarks.{name}"] for name in first.encoders},
            {name: there[:, index] for index, name in enumerate(first.encoders)},
        )
        answers = np.empty((len(first.parts), len(features), len(shared["mean"])))
        for place, part, solved in zip(answers, first.parts, shared["coefficients"], strict=True):
            kernel, left, right = first._kernel(bandwidths, part), features.of(part), trained.of(part)
            for start in range(0, len(features), BLOCK):
                rows = slice(start, start + BLOCK)
                place[rows] = kernel.between(left.take(rows), right) @ solved + shared["mean"]
        readings = _Readings.of(answers, _available(first, features), task)
        shown = np.stack([features.available[name] for name in first.encoders])
        return [_outputs(one, readings, shown) for one in weights]

    def check(self, weights: Mapping[str, Any], dims: Mapping[str, int], task: Task) -> None:
        """See `FittedModel.check`."""
        n_encoders, n_parts, n_targets = len(self.encoders), len(self.parts), task.n_sets + task.n_classes
        statistics, width = AGREEMENT_STATISTICS, self.width
        check_shapes(
            weights,
            {
                "available": (None, n_encoders),
                **{f"landmarks.{name}": (None, dims[name]) for name in self.encoders},
                "coefficients": (n_parts, None, n_targets),
                "bandwidth": (n_encoders,),
                "mean": (n_targets,),
                "gate.centre": (n_parts, statistics),
                "gate.scale": (n_parts, statistics),
                "gate.first": (n_parts, statistics, width),
                "gate.first_bias": (n_parts, width),
                "gate.second": (n_parts, width, 2),
                "gate.second_bias": (n_parts, 2),
            },
        )
        if not ((weights["bandwidth"] > 0).all() and (weights["gate.scale"] > 0).all()):
            raise ValueError("bandwidth or gate.scale is not above 0")

    def memory_bytes(self, n_clips: int, dims: Mapping[str, int], task: Task) -> int:
        """One part's kernel, its factor and that one's inverse; coefficients and answers of all parts."""
        n_targets = task.n_sets + task.n_classes
        parts = len(self.parts) * n_clips * (5 * 8 * n_targets + 4 * AGREEMENT_STATISTICS * self.width)
        return 3 * 4 * n_clips**2 + parts + 4 * n_clips * sum(dims.values())

    def _kernel(self, bandwidths: Mapping[str, float], part: tuple[str, ...]) -> CombinedKernel:
        return CombinedKernel(self.kind, "sum", {name: bandwidths[name] for name in part}, dict.fromkeys(part, 1.0))

    def _train_gate(self, readings: "_Readings", targets: Tensor, clips: TrainingClips) -> tuple[Weights, float]:
        """The gate's arrays and its last loss."""
        n_parts, n_clips = readings.available.shape
        spread, centre = torch.std_mean(readings.statistics, 1, correction=0)
        rng = stream(0, clips.fold, "gated_kernel")
        drawn = rng.standard_normal((n_parts, AGREEMENT_STATISTICS, self.width)) / AGREEMENT_STATISTICS**0.5
        gate = {
            "first": torch.from_numpy(drawn).float(),
            "first_bias": torch.zeros(n_parts, self.width),
            "second": torch.zeros(n_parts, self.width, 2),
            "second_bias": torch.full((n_parts, 2), float(np.log(np.expm1(TOTAL_WEIGHT / n_parts)))),
            "centre": centre,
            "scale": spread + 1e-4,
        }
        learned = NETWORK if self.gate == "per_clip" else ("second_bias",)
        for name in learned:
            gate[name].requires_grad_(True)
        decayed = [gate[name] for name in learned if not name.endswith("bias")]
        others = [gate[name] for name in learned if name.endswith("bias")]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}], self.lr
        )
        weight = torch.from_numpy(clips.weight)
        n_sets, loss = clips.task.n_sets, 0.0
        for _ in range(self.epochs):
            loss = 0.0
            for batch in torch.split(torch.from_numpy(rng.permutation(n_clips)), BATCH):
                presence, salience, _ = _combine(gate, readings.take(batch))
                wanted = targets[batch]
                nats = -(wanted[:, :n_sets] * presence).sum(-1) - (wanted[:, n_sets:] * salience).sum(-1)
                mean = (weight[batch] * nats).mean()
                optimizer.zero_grad()
                mean.backward()  # type: ignore[no-untyped-call]  # torch's
                optimizer.step()
                loss += float(mean.detach()) * len(batch) / n_clips
        return {f"gate.{name}": value.detach().numpy() for name, value in gate.items()}, loss


@dataclass(frozen=True)
class _Readings:
    """What the gate reads of some clips."""

    presence: Tensor
    """log p, [part, clip, set]"""
    salience: Tensor
    """log s, [part, clip, class]"""
    available: Tensor
    """[part, clip] bool"""
    statistics: Tensor
    """[part, clip, statistic] of agreement."""

    @classmethod
    def of(cls, answers: Float64, available: NDArray[np.bool_], task: Task) -> "_Readings":
        """From the parts' answers [part, clip, set and class]."""
        presence, salience = (torch.from_numpy(log_shares(one)).float() for one in np.split(answers, [task.n_sets], -1))
        there = torch.from_numpy(available)
        return cls(presence, salience, there, agreement(presence[None], there[None])[0])

    def take(self, clips: Tensor) -> "_Readings":
        return _Readings(
            self.presence[:, clips], self.salience[:, clips], self.available[:, clips], self.statistics[:, clips]
        )


def _combine(gate: Mapping[str, Tensor], readings: _Readings) -> tuple[Tensor, Tensor, Tensor]:
    """(log p [clip, set], log s [clip, class], weights u and v [part, clip, 2])."""
    statistics = (readings.statistics - gate["centre"][:, None]) / gate["scale"][:, None]
    hidden = torch.tanh(torch.einsum("pcs,psh->pch", statistics, gate["first"]) + gate["first_bias"][:, None])
    scores = torch.einsum("pch,pho->pco", hidden, gate["second"]) + gate["second_bias"][:, None]
    weights = softplus(scores) * readings.available.unsqueeze(-1)
    presence = (weights[..., :1] * readings.presence).sum(0).log_softmax(-1)
    return presence, (weights[..., 1:] * readings.salience).sum(0).log_softmax(-1), weights


def _outputs(weights: Mapping[str, Any], readings: _Readings, shown: NDArray[np.bool_]) -> FittedOutputs:
    """From a fit's arrays and which encoders [encoder, clip] the clips show."""
    gate = {
        name.removeprefix("gate."): torch.from_numpy(np.asarray(weights[name])) for name in weights if "gate." in name
    }
    with torch.no_grad():
        presence, salience, each = (one.numpy() for one in _combine(gate, readings))
    with np.errstate(divide="ignore"):  # what is not shown weighs 0, also where the only part answers with the mean
        scores = np.log(each[: len(shown), :, 0] * shown).T
    return FittedOutputs(presence, salience, np.exp(salience), np.ascontiguousarray(scores))


def _available(model: GatedKernel, features: PoolFeatures) -> NDArray[np.bool_]:
    """[part, clip]; the last part answers clips without any encoder, too, with the training clips' mean."""
    each = [features.available[part[0]] for part in model.parts[:-1]]
    return np.stack([*each, np.ones(len(features), bool)])
