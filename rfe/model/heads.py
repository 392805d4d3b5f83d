"""Presence and salience heads, and the probabilities their logits stand for."""

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rfe.labels import N_EMOTIONS, SET_MEMBERS


def linear(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[replica, clip, in] @ [replica, in, out] + [replica, out] -> [replica, clip, out]."""
    return torch.baddbmm(bias.unsqueeze(1), values, weight)


def set_logits(presence_logits: Tensor, pair_logits: Tensor | None = None) -> Tensor:
    """Logit of each of the 16 sets: the sum of its emotions' [..., 6], and a pair's own [..., 10]. -> [..., 16]."""
    sets = presence_logits @ _members(presence_logits).T
    return sets if pair_logits is None else sets + functional.pad(pair_logits, (N_EMOTIONS, 0))


def presence_probabilities(
    presence_logits: Tensor, by_states: Tensor | None, pair_logits: Tensor | None = None
) -> Tensor:
    """Presence of each emotion as a distribution over emotions.

    Args:
        presence_logits: l, [replica, clip, 6].
        by_states: [replica] bool; True: marginals of the softmax over the 16 sets (loss `states`), False: sigmoid
            (loss `bce`). None: `bce` everywhere.
        pair_logits: m, [replica, clip, 10], 0 for replicas without; None: none has them.

    Returns:
        p, [replica, clip, 6], rows sum to 1.
    """
    each = torch.sigmoid(presence_logits)
    if by_states is not None:
        marginals = torch.softmax(set_logits(presence_logits, pair_logits), -1) @ _members(presence_logits)
        each = torch.where(by_states.view(-1, 1, 1), marginals, each)
    return each / each.sum(-1, keepdim=True).clamp(min=1e-12)


def presence_loss(
    presence_logits: Tensor, sets: Tensor, by_states: Tensor | None, pair_logits: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy summed over emotions, or minus the set's log-likelihood among the 16.

    Args:
        presence_logits: [replica, clip, 6].
        sets: [replica, clip, 16] distribution over sets; all of it on the true set where labels are hard.
        by_states: [replica] bool; which of the two. None: the former everywhere.
        pair_logits: as in `presence_probabilities`.

    Returns:
        [replica, clip], nats.
    """
    target = sets @ _members(presence_logits)  # [replica, clip, 6]
    loss = functional.binary_cross_entropy_with_logits(presence_logits, target, reduction="none").sum(-1)
    if by_states is not None:
        log_sets = torch.log_softmax(set_logits(presence_logits, pair_logits), -1)
        likelihood = (sets * log_sets).sum(-1)
        loss = torch.where(by_states.view(-1, 1), -likelihood, loss)
    return loss


def divergence(soft_label: Tensor, log_probabilities: Tensor) -> Tensor:
    """KL(soft label || probabilities) in nats. Both [replica, clip, 6]; returns [replica, clip]."""
    return (torch.xlogy(soft_label, soft_label) - soft_label * log_probabilities).sum(-1)


def _members(like: Tensor) -> Tensor:
    return _members_on(like.device, like.dtype)


@cache
def _members_on(device: torch.device, dtype: torch.dtype) -> Tensor:
    """[set, emotion] 0 or 1; copied once."""
    return torch.from_numpy(np.asarray(SET_MEMBERS)).to(device, dtype)
