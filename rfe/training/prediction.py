"""Outputs of a stack's replicas on the clips they did not train on."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rfe.model.heads import set_logits
from rfe.model.stack import ModelOutput, StackedModel
from rfe.training.batches import padded
from rfe.training.fitted_stack import AnyStack, FittedStack
from rfe.training.inputs import StackInputs

CHUNK_ELEMENTS = 2**22
"""So many feature values of all replicas and encoders are gathered at once: memory stays the same for any number of
clips, and what a chunk computes stays near the processor."""


@dataclass
class Predictions:
    """[replica, clip, ...] on padded clips; a replica's own clips come first, in the data set's order."""

    presence_logits: NDArray[np.float32]
    """Of the classes, or of the sets (a single's is its class's) where a replica has logits for pairs."""
    salience_logits: NDArray[np.float32]
    """Of the classes; behind them what each pair adds to their difference, where a replica has such a head."""
    fused: NDArray[np.float32]
    gate_scores: NDArray[np.float32]
    """[replica, clip, encoder of the data set], -inf outside the pool or not available."""
    kept: NDArray[np.bool_]


def predict(stack: AnyStack, target: bool = False) -> Predictions:
    """Outputs of every replica on its held-out clips, or on the data set's target clips.

    Uses the running average of the weights where a replica has one; no dropout, no gate noise.
    """
    if isinstance(stack, FittedStack):
        return _predict_fitted(stack, target)
    place = {fold: row for row, fold in enumerate(stack.plan.training)}
    if target:
        clips = np.tile(stack.plan.target, (len(place), 1))
    else:
        clips = padded([stack.plan.held_out[fold] for fold in place])
    row = [place[one.model.fold] for one in stack.replicas]
    purpose = "target" if target else "held out"
    return run_models(stack.model, stack.inputs, clips, row, purpose, stack.prediction_values(), stack.precision)


def _predict_fitted(stack: FittedStack, target: bool) -> Predictions:
    folds = [one.model.fold for one in stack.replicas]
    each = stack.outputs([stack.plan.target if target else stack.plan.held_out[fold] for fold in folds])
    n_clips, n_encoders = max(len(one.fused) for one in each), len(stack.names)

    def padded_rows(name: str) -> NDArray[np.float32]:
        rows = [getattr(one, name) for one in each]
        block = np.zeros((len(rows), n_clips, rows[0].shape[-1]), np.float32)
        for place, values in zip(block, rows, strict=True):
            place[: len(values)] = values
        return block

    scores = np.full((len(each), n_clips, n_encoders), -np.inf, np.float32)
    for place, one, replica in zip(scores, each, stack.replicas, strict=True):
        place[: len(one.scores), list(replica.views)] = one.scores
    presence, salience, fused = (padded_rows(name) for name in ("presence_logits", "salience_logits", "fused"))
    return Predictions(presence, salience, fused, scores, np.isfinite(scores))


@torch.no_grad()
def run_models(
    model: StackedModel,
    inputs: StackInputs,
    clips: NDArray[np.int64],
    row: Sequence[int],
    purpose: str,
    values: dict[str, Tensor] | None = None,
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Predictions:
    """Outputs of a stack of models.

    Args:
        model: the stack.
        inputs: where its features come from.
        clips: [row, clip] positions in the feature source.
        row: [replica] whose clips the replica answers.
        purpose: address of the control gates' random numbers.
        values: weights to use in place of the model's own.
        precision: the context of the forward pass.
    """
    table = torch.from_numpy(clips).to(model.device)
    rows = inputs.rows(row)
    noise = inputs.prediction_noise(purpose, table.shape[1])
    chunk = max(64, CHUNK_ELEMENTS // (len(model.settings) * sum(inputs.shape.dims) * model.n_members))
    if inputs.has_control or inputs.shuffles_places:
        chunk = table.shape[1]  # the controls' numbers are drawn for all clips at once
    parts = []
    for start in range(0, table.shape[1], chunk):
        with precision():
            features, available = inputs.gather(table[:, start : start + chunk], rows)
            parts.append(model.average(model(features, available, noise, values)))
    return _collect(parts, model, len(inputs.shape.dims))


def _collect(parts: list[ModelOutput], model: StackedModel, n_encoders: int) -> Predictions:
    scores = torch.cat([part.scores for part in parts], 2).cpu().numpy()  # [replica, slot, clip]
    selections = [part.selection.kept for part in parts if part.selection]
    chosen = torch.cat(selections, 2).cpu().numpy() if selections else None
    n_replicas, _, n_clips = scores.shape
    by_encoder = np.full((n_replicas, n_clips, n_encoders), -np.inf, np.float32)
    kept = np.zeros((n_replicas, n_clips, n_encoders), np.bool_)
    for replica, one in enumerate(model.settings):
        pool = list(one.pool)
        if chosen is None:  # no gate: all of the pool is used
            kept[replica][:, pool] = True
        else:
            by_encoder[replica][:, pool] = scores[replica, : len(pool)].T
            kept[replica][:, pool] = chosen[replica, : len(pool)].T
    log_fused = torch.cat([part.log_fused for part in parts], 1)
    salience = torch.cat(
        [torch.cat([one for one in (part.salience_logits, part.leanings) if one is not None], -1) for part in parts], 1
    )
    presence = torch.cat([_presence(model, part) for part in parts], 1)
    return Predictions(presence.cpu().numpy(), salience.cpu().numpy(), log_fused.exp().cpu().numpy(), by_encoder, kept)


def _presence(model: StackedModel, part: ModelOutput) -> Tensor:
    """[replica, clip, class or set]; sets that no clip can show are for decoders to leave out."""
    if part.pair_logits is None:
        return part.presence_logits
    return set_logits(model.sets, part.presence_logits, part.pair_logits)
