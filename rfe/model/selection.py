"""Rank encoders by score and keep the best n of each clip."""

from typing import NamedTuple

import torch
from torch import Tensor


class KeptEncoders(NamedTuple):
    """The encoders kept for each clip, and their weights."""

    weights: Tensor
    """[replica, slot, clip] sum to 1 over slots where any is available; 0 outside the kept ones in value, not always
    in gradient."""
    soft: Tensor
    """[replica, slot, clip] softmax over all available encoders."""
    kept: Tensor
    """[replica, slot, clip] bool."""
    rank: Tensor
    """[replica, slot, clip] 0 for the highest score; ties rank by encoder order."""


def keep_top_n(scores: Tensor, available: Tensor, n_kept: Tensor, straight_through: Tensor | None) -> KeptEncoders:
    """Softmax weights over each clip's `n_kept` highest-scored encoders.

    Args:
        scores: [replica, slot, clip] unnormalised gate scores, -inf where not available.
        available: [replica, slot, clip] bool; False never receives weight.
        n_kept: [replica] int, at least 1; more than are available keeps all of them.
        straight_through: [replica] bool; True takes the gradient of the softmax over all available encoders
            (so that encoders not kept, and a single kept one, still get a signal), False that of the kept weights.
            None: True everywhere.

    A clip with no available encoder gets weight 0 everywhere, so that its fused vector is 0 and it is answered by the
    heads' biases: what the training clips say of a clip nothing is known of.

    Source: "fuses only the top-n most informative encoders", abstract of arXiv 2605.21417; equation ours; straight
    through after arXiv 1308.3432.

    Examples:
        >>> scores = torch.tensor([[[2.0], [1.0], [0.0]]])  # one replica, three encoders, one clip
        >>> selection = keep_top_n(scores, scores > -1, torch.tensor([2]), None)
        >>> [round(weight, 3) for weight in selection.weights.flatten().tolist()]
        [0.731, 0.269, 0.0]
    """
    some = available.any(1, keepdim=True)
    scores = scores.masked_fill(~some, 0.0)
    order = torch.sort(scores, dim=1, descending=True, stable=True).indices
    positions = torch.arange(scores.shape[1], device=scores.device).view(1, -1, 1).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, positions)
    kept = (rank < n_kept.view(-1, 1, 1)) & available
    soft = torch.softmax(scores, dim=1) * some
    hard = soft * kept
    hard = hard / hard.sum(1, keepdim=True).clamp(min=1e-30)
    through = soft + (hard - soft).detach()
    weights = through if straight_through is None else torch.where(straight_through.view(-1, 1, 1), through, hard)
    return KeptEncoders(weights, soft, kept, rank)
