"""Presence and salience heads, and the probabilities their logits stand for."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rfe.task import Task

IMPOSSIBLE = -1e9
"""Logit of a set that no clip can show: its probability is exactly 0, and 0 times its logarithm is still 0."""


@dataclass(frozen=True)
class SetTensors:
    """A task's sets on a device."""

    members: Tensor
    """[set, class] 1 where the class is present."""
    impossible: Tensor | None
    """[set] bool, those that no clip can show; None where there are none."""
    pairs: Tensor
    """[pair, 2] the classes of each pair."""

    @classmethod
    def of(cls, task: Task, device: torch.device) -> "SetTensors":
        """The sets of a task."""
        members = torch.tensor(task.set_members, device=device)
        impossible = None if task.set_possible.all() else torch.tensor(~np.asarray(task.set_possible), device=device)
        return cls(members, impossible, torch.tensor(task.pairs, device=device).view(-1, 2).long())

    def possible_logits(self, presence_logits: Tensor, pair_logits: Tensor | None) -> Tensor:
        """`set_logits`, with those that no clip can show at `IMPOSSIBLE`."""
        logits = set_logits(self, presence_logits, pair_logits)
        return logits if self.impossible is None else logits.masked_fill(self.impossible, IMPOSSIBLE)


def linear(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[replica, clip, in] @ [replica, in, out] + [replica, out] -> [replica, clip, out].

    Examples:
        >>> linear(torch.ones(1, 2, 3), torch.ones(1, 3, 1), torch.tensor([[0.5]])).flatten()
        tensor([3.5000, 3.5000])
    """
    return torch.baddbmm(bias.unsqueeze(1), values, weight)


def set_logits(sets: SetTensors, presence_logits: Tensor, pair_logits: Tensor | None = None) -> Tensor:
    """Logit of each set: the sum of its classes' [..., class], and a pair's own [..., pair]. -> [..., set]."""
    logits = presence_logits @ sets.members.T
    return logits if pair_logits is None else logits + functional.pad(pair_logits, (sets.members.shape[1], 0))


def decide_blend(sets: SetTensors, presence_logits: Tensor, pair_logits: Tensor, blend_logit: Tensor) -> Tensor:
    """Pairs' own logits by which the blends' total probability is the sigmoid of a separate logit.

    m'_T = m_T + b + log sum_singles exp(l_c) - log sum_pairs exp(logit of T): one or two is a head's question, and the
    classes' logits say which one, or which two. Equation ours.

    Args:
        sets: of the task, with pairs and classes that occur alone.
        presence_logits: l, [..., class].
        pair_logits: m, [..., pair].
        blend_logit: b, [...].

    Returns:
        [..., pair].
    """
    logits, n_classes = sets.possible_logits(presence_logits, pair_logits), sets.members.shape[1]
    singles, pairs = logits[..., :n_classes].logsumexp(-1), logits[..., n_classes:].logsumexp(-1)
    return pair_logits + (blend_logit + singles - pairs).unsqueeze(-1)


def presence_distribution(
    sets: SetTensors, presence_logits: Tensor, by_states: Tensor | None, pair_logits: Tensor | None = None
) -> Tensor:
    """Presence of each class as a distribution over classes.

    Args:
        sets: of the task.
        presence_logits: l, [replica, clip, class].
        by_states: [replica] bool; True: marginals of the softmax over the sets (loss `states`), False: sigmoid
            (loss `bce`). None: `bce` everywhere.
        pair_logits: m, [replica, clip, pair], 0 for replicas without; None: none has them.

    Returns:
        p, [replica, clip, class], rows sum to 1.
    """
    each = torch.sigmoid(presence_logits)
    if by_states is not None:
        marginals = torch.softmax(sets.possible_logits(presence_logits, pair_logits), -1) @ sets.members
        each = torch.where(by_states.view(-1, 1, 1), marginals, each)
    return each / each.sum(-1, keepdim=True).clamp(min=1e-12)


def presence_loss(
    sets: SetTensors,
    presence_logits: Tensor,
    target: Tensor,
    by_states: Tensor | None,
    pair_logits: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy summed over classes, or minus the set's log-likelihood among the sets.

    Args:
        sets: of the task.
        presence_logits: [replica, clip, class].
        target: [replica, clip, set] distribution over sets; all of it on the true set where labels are hard.
        by_states: [replica] bool; which of the two. None: the former everywhere.
        pair_logits: as in `presence_distribution`.

    Returns:
        [replica, clip], nats.
    """
    present = target @ sets.members  # [replica, clip, class]
    loss = functional.binary_cross_entropy_with_logits(presence_logits, present, reduction="none").sum(-1)
    if by_states is not None:
        log_sets = torch.log_softmax(sets.possible_logits(presence_logits, pair_logits), -1)
        likelihood = (target * log_sets).sum(-1)
        loss = torch.where(by_states.view(-1, 1), -likelihood, loss)
    return loss


def divergence(soft_label: Tensor, log_probabilities: Tensor) -> Tensor:
    """KL(soft label || probabilities) in nats. Both [replica, clip, class]; returns [replica, clip].

    Examples:
        >>> label, probabilities = torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[0.5, 0.5]]])
        >>> divergence(label, probabilities.log())
        tensor([[0.]])
    """
    return (torch.xlogy(soft_label, soft_label) - soft_label * log_probabilities).sum(-1)
