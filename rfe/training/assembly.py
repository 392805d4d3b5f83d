"""From a trained configuration to the record a worker hands back."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rfe.config.identity import config_id
from rfe.config.schema import Config
from rfe.data.dataset import Dataset
from rfe.metrics.validators import (
    Validators,
    deep_embedded_validation,
    information_maximisation,
    soft_neighborhood_density,
)
from rfe.training.fitted_stack import AnyStack
from rfe.training.prediction import Predictions
from rfe.training.record import TrialResult
from rfe.training.scoring import OutOfFold, ProtocolAnswers, log_set_weights, n_presence_logits, n_salience_logits
from rfe.training.usage import Usage


@dataclass(frozen=True)
class Trained:
    """A configuration after its last epoch, still in its stack."""

    config: Config
    replicas: list[int]
    """Its positions in the stack."""
    folds: tuple[int, ...]
    """Those trained now, and those of `former`."""
    outputs: OutOfFold
    answers: ProtocolAnswers | None
    """None for final models."""
    curves: dict[str, list[tuple[int, float]]]
    seconds: float
    usage: Usage
    former: TrialResult | None = None
    """The result on the folds that were trained before."""


def held_out_place(stack: AnyStack, replica: int) -> tuple[NDArray[np.int64], int]:
    """The replica's held-out clips and the position of its seed among its configuration's seeds."""
    one = stack.replicas[replica]
    seeds = sorted({other.model.seed for other in stack.replicas if other.configuration == one.configuration})
    return stack.plan.held_out[one.model.fold], seeds.index(one.model.seed)


def assemble(
    trained: Trained,
    stack: AnyStack,
    dataset: Dataset,
    predictions: Predictions,
    targets: Predictions | None,
    keep_weights: bool,
) -> TrialResult:
    """The record of one complete configuration.

    Args:
        trained: the configuration.
        stack: it was trained in.
        dataset: the data set.
        predictions: of the whole stack on held-out clips, after the last epoch.
        targets: of the whole stack on target clips; None without any.
        keep_weights: whether the record carries the fold models' weights.
    """
    clips, config, names, former = dataset.clips, trained.config, list(dataset.encoders), trained.former
    usage = trained.usage.after(former, trained.seconds)
    assert trained.answers is not None  # a configuration is scored at its last epoch
    hits, pooled = trained.answers.hits.mean(), trained.answers.hits.pooled()
    gate = _gate(trained, stack, predictions, clips.n_source)
    counted = np.isin(clips.fold[: clips.n_source], trained.folds)
    target = _target_outputs(trained, stack, targets, clips.n_target)
    pool = [names[encoder] for encoder in stack.replicas[trained.replicas[0]].model.pool]
    return TrialResult(
        config_id=config_id(config),
        state="complete",
        folds=np.asarray(trained.folds),
        seeds=config.train.seed + np.arange(config.train.seeds),
        presence_logits=trained.outputs.presence_logits,
        salience_logits=trained.outputs.salience_logits,
        fused=trained.outputs.fused,
        target_presence_logits=target["presence_logits"],
        target_salience_logits=target["salience_logits"],
        target_fused=target["fused"],
        set_offset=log_set_weights(config, clips, trained.folds).astype(np.float32),
        predicted_state=trained.answers.predicted_state,
        totals=dict(hits.totals),
        score=pooled.score,
        acc_presence=pooled.acc_presence,
        acc_salience=pooled.acc_salience,
        log_likelihood=trained.answers.log_likelihood,
        validators=_validators(trained, trained.answers, target, dataset),
        curves=trained.curves,
        kept_frequency={name: float(gate.kept[:, counted, names.index(name)].mean()) for name in pool},
        gate_scores=gate.scores,
        kept=gate.kept,
        seconds=trained.seconds + (former.seconds if former else 0.0),
        memory_mb=usage.memory_mb,
        gpu_memory_mb=usage.gpu_memory_mb,
        gpu_percent=usage.gpu_percent,
        device=str(stack.device),
        weights=_weights(trained, stack) if keep_weights else None,
    )


def assemble_final(
    trained: Trained, stack: AnyStack, dataset: Dataset, targets: Predictions | None, keep_weights: bool
) -> TrialResult:
    """The record of a configuration's final models: weights and target outputs; args as `assemble`."""
    config = trained.config
    target = _target_outputs(trained, stack, targets, dataset.clips.n_target)
    return TrialResult(
        config_id=config_id(config),
        state="complete",
        folds=np.asarray(trained.folds),
        seeds=config.train.seed + np.arange(config.train.seeds),
        target_presence_logits=target["presence_logits"],
        target_salience_logits=target["salience_logits"],
        target_fused=target["fused"],
        set_offset=log_set_weights(config, dataset.clips, trained.folds).astype(np.float32),
        curves=trained.curves,
        seconds=trained.seconds,
        memory_mb=trained.usage.memory_mb,
        gpu_memory_mb=trained.usage.gpu_memory_mb,
        gpu_percent=trained.usage.gpu_percent,
        device=str(stack.device),
        weights=_weights(trained, stack) if keep_weights else None,
    )


class _Gate(NamedTuple):
    scores: NDArray[np.float16]
    kept: NDArray[np.bool_]


def _gate(trained: Trained, stack: AnyStack, predictions: Predictions, n_source: int) -> _Gate:
    shape = (trained.config.train.seeds, n_source, len(stack.shape.dims))
    gate = _Gate(np.full(shape, -np.inf, np.float16), np.zeros(shape, np.bool_))
    if trained.former is not None:
        gate = _Gate(trained.former.gate_scores.astype(np.float16), trained.former.kept.copy())
    for replica in trained.replicas:
        held_out, seed = held_out_place(stack, replica)
        gate.scores[seed, held_out] = predictions.gate_scores[replica, : len(held_out)]
        gate.kept[seed, held_out] = predictions.kept[replica, : len(held_out)]
    return gate


def _target_outputs(
    trained: Trained, stack: AnyStack, targets: Predictions | None, n_target: int
) -> dict[str, NDArray[np.float32]]:
    """Name -> [fold, seed, target clip, logit]."""
    shape = (len(trained.folds), trained.config.train.seeds, n_target)
    task = stack.clips.task
    widths = {
        "presence_logits": n_presence_logits(task, trained.config),
        "salience_logits": n_salience_logits(task, trained.config),
        "fused": task.n_classes,
    }
    blocks = {name: np.zeros((*shape, width), np.float32) for name, width in widths.items()}
    if trained.former is not None:
        rows = [trained.folds.index(fold) for fold in trained.former.folds.tolist()]
        for name, block in blocks.items():
            block[rows] = getattr(trained.former, f"target_{name}")
    if targets is not None:
        for replica in trained.replicas:
            _, seed = held_out_place(stack, replica)
            fold = trained.folds.index(stack.replicas[replica].model.fold)
            for name, block in blocks.items():
                block[fold, seed] = getattr(targets, name)[replica][:, : block.shape[-1]]
    return blocks


def _validators(
    trained: Trained, answers: ProtocolAnswers, target: dict[str, NDArray[np.float32]], dataset: Dataset
) -> dict[str, float]:
    """Each fold model is judged on its held-out clips and on the target's."""
    clips = dataset.clips
    if clips.n_target < 2 or not all(np.isfinite(block).all() for block in target.values()):
        return {}
    source = np.concatenate([trained.outputs.presence_logits, trained.outputs.salience_logits], -1)
    unseen = np.concatenate([target["presence_logits"], target["salience_logits"]], -1)
    found = []
    for row, fold in enumerate(trained.folds):
        mine = clips.fold[: clips.n_source] == fold
        for seed in range(source.shape[0]):
            fused = target["fused"][row, seed]
            dev = deep_embedded_validation(
                clips.task,
                source[seed, mine],
                unseen[row, seed],
                clips.state[: clips.n_source][mine],
                answers.predicted_state[seed, mine],
            )
            found.append((information_maximisation(fused), soft_neighborhood_density(fused), dev))
    return Validators(*np.mean(found, axis=0).tolist()).to_dict()


def _weights(trained: Trained, stack: AnyStack) -> dict[str, NDArray[np.float32]]:
    weights = dict(trained.former.weights or {}) if trained.former else {}
    for replica in trained.replicas:
        model = stack.replicas[replica].model
        prefix = f"fold{model.fold}.seed{model.seed}"
        weights |= {f"{prefix}.{name}": value for name, value in stack.weights(replica).items()}
    return weights
