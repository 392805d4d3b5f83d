"""Maximum mean discrepancy with five Gaussian kernels."""

import torch
from torch import Tensor

MULTIPLES = (4.0, 2.0, 1.0, 0.5, 0.25)
"""Bandwidths, as multiples of the median squared distance."""
STRIDE = 4
"""The median is taken over every fourth clip: a scale needs no more, and sorting all pairs costs more than the rest."""


def mmd(source: Tensor, target: Tensor) -> Tensor:
    """Biased squared MMD, summed over Gaussian kernels of bandwidth median x {1/4, 1/2, 1, 2, 4}.

    Args:
        source: [replica, clip, latent].
        target: [replica, clip, latent].

    Returns:
        [replica], at least 0; the median is detached, so a gradient cannot shrink the bandwidth.

    Source: Gretton et al., JMLR 13 (2012), equation 5; several kernels as in Long et al., arXiv 1502.02791.
    """
    both = torch.cat([source, target], 1)
    squares = both.square().sum(-1)
    distance = torch.baddbmm(squares.unsqueeze(1), both, both.transpose(1, 2), alpha=-2) + squares.unsqueeze(2)
    some = distance.detach()[:, ::STRIDE, ::STRIDE].flatten(1)
    median = some.median(1).values.clamp(min=1e-8).view(-1, 1, 1)
    kernel = torch.exp(distance.clamp(min=0) / (-MULTIPLES[0] * median))
    total = kernel
    for _ in MULTIPLES[1:]:  # half the bandwidth is the square of the kernel
        kernel = kernel.square()
        total = total + kernel
    # One product with the signed shares of the clips is the three means: within, within and twice between.
    of_source, of_target = source.shape[1], target.shape[1]
    shares = total.new_full((of_source + of_target,), 1 / of_source)
    shares[of_source:] = -1 / of_target
    return torch.matmul(total, shares) @ shares
