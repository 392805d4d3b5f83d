"""Probability-level fusion of the two heads."""

import torch
from torch import Tensor


def fuse_heads(presence: Tensor, log_salience: Tensor, presence_weight: Tensor, geometric: Tensor | None) -> Tensor:
    """log q: linear q = omega p + (1 - omega) s, or geometric q proportional to p^omega s^(1 - omega).

    Args:
        presence: p, [replica, clip, class], rows sum to 1.
        log_salience: log s, [replica, clip, class].
        presence_weight: omega in [0, 1], [replica].
        geometric: [replica] bool; which of the two. None: linear everywhere.

    Returns:
        [replica, clip, class] log-probabilities, rows normalised.

    Source: "probability-level fusion" of arXiv 2605.21417 (abstract); equations ours.

    Examples:
        >>> presence, salience = torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[0.9, 0.1]]])
        >>> fuse_heads(presence, salience.log(), torch.tensor([0.5]), None).exp()
        tensor([[[0.7000, 0.3000]]])
    """
    omega = presence_weight.view(-1, 1, 1)
    log_fused = torch.log((omega * presence + (1 - omega) * log_salience.exp()).clamp(min=1e-12))
    if geometric is not None:
        blend = torch.log_softmax(omega * torch.log(presence.clamp(min=1e-12)) + (1 - omega) * log_salience, -1)
        log_fused = torch.where(geometric.view(-1, 1, 1), blend, log_fused)
    return log_fused
