"""Progress, results and checkpoints of training: plain numpy, free of torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TrialResult:
    """Everything that a worker returns for one configuration.

    Source clips stand in the data set's order of training clips, target clips in its order of target clips. A failed
    or pruned configuration has empty arrays where it got to nothing.
    """

    config_id: str
    state: Literal["complete", "failed", "pruned"]
    reason: str = ""
    """Why it failed or was pruned; empty when complete."""

    folds: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """[fold] the folds' numbers; fewer than the data set's where a part was trained (see `FoldPart`); arrays over
    clips then hold nothing (NaN, -1) for the others' clips. -1 alone: final models, which have nothing out of fold."""
    seeds: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """[seed] the replica seeds."""

    presence_logits: Float = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    """[seed, source clip, class] out-of-fold presence logits l; of the sets with `loss.presence: sets`."""
    salience_logits: Float = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    """[seed, source clip, class] out-of-fold salience logits g; with `model.heads.ratio: pair` each pair's term behind
    them."""
    fused: Float = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    """[seed, source clip, class] out-of-fold fused probabilities q."""
    target_presence_logits: Float = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.float32))
    """[fold, seed, target clip, class] of each fold model on the target clips; 0 clips without a target."""
    target_salience_logits: Float = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.float32))
    target_fused: Float = field(default_factory=lambda: np.zeros((0, 0, 0, 0), np.float32))
    set_offset: Float = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """[fold, set] log class-balance weight each fold's model was trained with; 0 without class balance."""

    predicted_state: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """[seed, source clip] the protocol's answer, an index into the task's states."""
    totals: dict[str, Float] = field(default_factory=dict)
    """Metric -> [fold, number] its sums, mean over seeds; see `metrics.choice.score_parts` and `Metric.totals`."""
    score: float = float("nan")
    acc_presence: float = float("nan")
    acc_salience: float = float("nan")
    log_likelihood: float = float("nan")
    """Of the true states, cross-fitted, mean over clips and seeds, nats; NaN with protocol `official`."""

    validators: dict[str, float] = field(default_factory=dict)
    """Name -> value (see `metrics.validators`), mean over fold models and seeds; empty without target clips."""

    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """Name -> (epoch, value): `train_loss`, and with adaptation `domain_discrepancy` and `discriminator_accuracy`, each
    epoch; `score`, `acc_presence`, `acc_salience`, `log_likelihood` and `held_out_kl` (nats) at the epochs that were
    scored."""
    kept_frequency: dict[str, float] = field(default_factory=dict)
    """Encoder of the pool -> share of held-out clips in which the gate kept it."""
    gate_scores: Float = field(default_factory=lambda: np.zeros((0, 0, 0), np.float16))
    """[seed, source clip, encoder of the data set] out-of-fold gate scores; -inf outside the pool or not available."""
    kept: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0, 0), np.bool_))
    """[seed, source clip, encoder of the data set] whether the encoder was fused."""

    seconds: float = float("nan")
    """This configuration's share of its stack's training time."""
    memory_mb: float = float("nan")
    """Peak resident memory of the worker's process while its stack trained, in MiB."""
    gpu_memory_mb: float = float("nan")
    """Peak memory allocated on the GPU meanwhile, in MiB; NaN without one."""
    gpu_percent: float = float("nan")
    """Mean share of time in which the GPU computed meanwhile, in percent; NaN without one, or if it does not tell."""
    device: str = ""
    weights: dict[str, NDArray[np.float32]] | None = None
    """`fold0.seed0.projection.ENCODER.weight` -> array; None where the weights were not asked for."""


@dataclass(frozen=True)
class FoldPart:
    """Some folds of a configuration, to be trained without the others, or after them."""

    folds: tuple[int, ...]
    former: TrialResult | None = None
    """The result on the folds that were trained before; the new result holds both."""


@dataclass(frozen=True)
class ReplicaState:
    """A replica between two epochs: all that is needed to resume it in another stack of its shape."""

    epoch: int
    """Epochs it has finished."""
    arrays: dict[str, NDArray[np.float32]]
    """`value/NAME`, `average/NAME`, `first/NAME`, `second/NAME`: weights, running averages, Adam's moments."""


@dataclass(frozen=True)
class Checkpoint:
    """A configuration between two epochs."""

    epoch: int
    replicas: list[ReplicaState]
    curves: dict[str, list[tuple[int, float]]]
    seconds: float = 0.0
    """Of training so far."""
    best: dict[str, Float] = field(default_factory=dict)
    """Protocol `official` only: outputs of each fold's best epoch so far, and their scores."""


@dataclass(frozen=True)
class EpochReport:
    """The state of one configuration after an epoch."""

    epoch: int
    epochs: int
    score: float | None = None
    """The protocol's score at this epoch; None where this epoch was not scored."""
    checkpoint: Callable[[], Checkpoint] | None = None
    """Makes a checkpoint; None where training cannot be resumed from one."""


@dataclass(frozen=True)
class Stop:
    """Stops a configuration before its last epoch."""

    state: Literal["pruned", "failed"]
    reason: str
