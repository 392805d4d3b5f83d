"""Members: k models that share a replica's weights and differ in element-wise scales.

Member m of a replica scales each encoder's projection before its LayerNorm, each encoder's vector behind it, and the
fused vector before the heads: (W_e x_e + b_e) * r_em, z_e * s_em and f * t_m. The r start as random signs, the others
at 1. Every member has its own loss, of which the replica's is the mean, and their probabilities are averaged to one
answer. Members share the gate, which sees the mean of their vectors: what is kept of a clip is one choice, and the
dearest part behind the projections is computed once. On a CPU, with four encoders of 114 to 768 features, a step with 8
members takes 2.8 times as long as with one.

Source: TabM (Gorishniy et al., arXiv 2410.24210) after BatchEnsemble (arXiv 2002.06715). There the first scale is on
the features themselves, which takes a product of all features with the weights for each member, and that product is
most of a step; here it is on the product, which is computed once.

Members are folded into the clip axis: clip i of member m is row i k + m.
"""

from math import log

import torch
from torch import Tensor
from torch.nn import functional

from rfe.model.heads import SetTensors
from rfe.model.pair_heads import pair_differences
from rfe.model.stack import ModelOutput

LEAST = -30.0
"""Smallest log-probability of a set that an average tells."""


def unfold(values: Tensor, scale: Tensor) -> Tensor:
    """Each member's values of each clip.

    Args:
        values: [replica, slot, clip, latent].
        scale: [replica, slot, member, latent].

    Returns:
        [replica, slot, clip x member, latent].
    """
    return (values.unsqueeze(3) * scale.unsqueeze(2)).flatten(2, 3)


def scale_members(values: Tensor, scale: Tensor) -> Tensor:
    """[..., clip x member, latent] times [..., member, latent]."""
    each = split_members(values, scale.shape[-2], values.dim() - 2)
    return (each * scale.unsqueeze(-3)).flatten(-3, -2)


def split_members(values: Tensor, n_members: int, axis: int = 1) -> Tensor:
    """[..., clip x member, ...] -> [..., clip, member, ...], the clips in the given axis.

    Examples:
        >>> split_members(torch.arange(6).view(1, 6), n_members=2)
        tensor([[[0, 1],
                 [2, 3],
                 [4, 5]]])
    """
    return values.reshape(*values.shape[:axis], -1, n_members, *values.shape[axis + 1 :])


def average_members(output: ModelOutput, n_members: int, sets: SetTensors, by_states: Tensor | None) -> ModelOutput:
    """One answer from the members': their mean probabilities, as logits.

    Args:
        output: of clips x members.
        n_members: k.
        sets: of the task.
        by_states: [replica] bool, whether presence is a distribution over the sets; None: nowhere.

    Returns:
        Of clips. Presence logits are those of the classes' mean probabilities, [replica, clip, class]; where presence
        is a distribution over sets in any replica, [replica, clip, set]: in those replicas the logarithm of each set's
        mean probability, in the others the classes' logits in the first places. A pair's leaning is that of its mean
        share.
    """

    def logs(values: Tensor) -> Tensor:
        """Logarithm of the mean over members of exp(values), [replica, clip x member, ...]."""
        return split_members(values, n_members).logsumexp(2) - log(n_members)

    classes, absent = (logs(functional.logsigmoid(sign * output.presence_logits)) for sign in (1.0, -1.0))
    presence = classes - absent
    if by_states is not None:
        presence = functional.pad(presence, (0, len(sets.members) - presence.shape[-1]))
        log_sets = torch.log_softmax(sets.possible_logits(output.presence_logits, output.pair_logits), -1)
        presence = torch.where(by_states.view(-1, 1, 1), logs(log_sets).clamp(min=LEAST), presence)
    log_salience, leanings = logs(output.log_salience), output.leanings
    if leanings is not None:
        difference = pair_differences(output.salience_logits, leanings, sets.pairs)
        toward, away = (logs(functional.logsigmoid(sign * difference)) for sign in (1.0, -1.0))
        leanings = toward - away - pair_differences(log_salience, torch.zeros_like(toward), sets.pairs)
    return ModelOutput(
        presence,
        log_salience,
        log_salience,
        logs(output.log_fused),
        output.fused_feature,
        output.scores,
        output.selection,
        leanings=leanings,
    )
