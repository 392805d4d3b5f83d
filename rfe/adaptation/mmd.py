"""Maximum mean discrepancy with five Gaussian kernels."""

import torch
from torch import Tensor

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multiples of the median squared distance."""


def mmd(source: Tensor, target: Tensor) -> Tensor:
    """Biased squared MMD, summed over kernels of bandwidth median x {1/4, 1/2, 1, 2, 4}.

    Args:
        source: [replica, clip, latent].
        target: [replica, clip, latent].

    Returns:
        [replica], at least 0; the median is detached, so a gradient cannot shrink the bandwidth.

    Source: Gretton et al., JMLR 13 (2012), equation 5; several kernels as in Long et al., arXiv 1502.02791.
    """
    both = torch.cat([source, target], 1)
    squares = both.square().sum(-1)
    distance = (squares.unsqueeze(2) + squares.unsqueeze(1) - 2 * both @ both.transpose(1, 2)).clamp(min=0)
    median = distance.detach().flatten(1).median(1).values.clamp(min=1e-8).view(-1, 1, 1)
    n_source = source.shape[1]
    kernel = torch.zeros_like(distance)
    for multiple in BANDWIDTHS:
        kernel = kernel + torch.exp(-distance / (median * multiple))
    within_source = kernel[:, :n_source, :n_source].mean((1, 2))
    within_target = kernel[:, n_source:, n_source:].mean((1, 2))
    between = kernel[:, :n_source, n_source:].mean((1, 2))
    return within_source + within_target - 2 * between
