"""Outputs of a stack's replicas on the clips they did not train on."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rfe.model.stack import ModelOutput, StackedModel
from rfe.training.batches import padded
from rfe.training.engine import Stack

CHUNK_ELEMENTS = 2**25
"""Largest number of feature values gathered at once."""


@dataclass
class Predictions:
    """[replica, clip, ...] on padded clips; a replica's own clips come first, in the data set's order."""

    presence_logits: NDArray[np.float32]
    salience_logits: NDArray[np.float32]
    fused: NDArray[np.float32]
    gate_scores: NDArray[np.float32]
    """[replica, clip, encoder of the data set], -inf outside the pool or not available."""
    kept: NDArray[np.bool_]


@torch.no_grad()
def predict(stack: Stack, target: bool = False) -> Predictions:
    """Outputs of every replica on its held-out clips, or on the data set's target clips.

    Uses the running average of the weights where a replica has one; no dropout, no gate noise.
    """
    fold_row = {fold: row for row, fold in enumerate(stack.clips.folds)}
    if target:
        table = np.tile(stack.plan.target, (len(fold_row), 1))
    else:
        table = padded([stack.plan.held_out[fold] for fold in fold_row])
    clips = torch.from_numpy(table).to(stack.device)  # [fold, clip]
    rows = stack.inputs.rows([fold_row[one.model.fold] for one in stack.replicas])
    noise = stack.inputs.prediction_noise("target" if target else "held out", clips.shape[1])
    chunk = max(64, CHUNK_ELEMENTS // (len(stack.replicas) * max(stack.shape.dims)))
    if stack.inputs.has_control or stack.inputs.shuffles_places:
        chunk = clips.shape[1]  # the controls' numbers are drawn for all clips at once
    parts = []
    for start in range(0, clips.shape[1], chunk):
        with stack.precision():
            features, available = stack.inputs.gather(clips[:, start : start + chunk], rows)
            parts.append(stack.model(features, available, noise, stack.prediction_values()))
    return _collect(parts, stack.model, len(stack.shape.dims))


def _collect(parts: list[ModelOutput], model: StackedModel, n_encoders: int) -> Predictions:
    scores = torch.cat([part.scores for part in parts], 2)  # [replica, slot, clip]
    n_replicas, n_slots, n_clips = scores.shape
    by_encoder = np.full((n_replicas, n_clips, n_encoders), -np.inf, np.float32)
    kept = np.zeros((n_replicas, n_clips, n_encoders), np.bool_)
    for replica, one in enumerate(model.settings):
        if n_slots == 0:  # no gate: all of the pool is used
            kept[replica][:, list(one.pool)] = True
            continue
        slots = len(one.pool)
        by_encoder[replica][:, list(one.pool)] = scores[replica, :slots].T.cpu().numpy()
        chosen = torch.cat([part.selection.kept[replica, :slots] for part in parts if part.selection], 1)
        kept[replica][:, list(one.pool)] = chosen.T.cpu().numpy()
    presence, salience, log_fused = (
        torch.cat([getattr(part, name) for part in parts], 1)
        for name in ("presence_logits", "salience_logits", "log_fused")
    )
    return Predictions(presence.cpu().numpy(), salience.cpu().numpy(), log_fused.exp().cpu().numpy(), by_encoder, kept)
