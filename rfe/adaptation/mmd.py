"""Maximum mean discrepancy with five Gaussian kernels."""

from typing import Any

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

    Examples:
        >>> features = torch.randn(1, 32, 4, generator=torch.Generator().manual_seed(0))
        >>> mmd(features, features).abs().item() < 1e-5, mmd(features, features + 3).item() > 0.5
        (True, True)
    """
    discrepancy: Tensor = _Discrepancy.apply(torch.cat([source, target], 1), source.shape[1])  # type: ignore[no-untyped-call]
    return discrepancy


class _Discrepancy(torch.autograd.Function):
    """`mmd` of [replica, clip, latent] whose first `n_source` clips are the source's, with its gradient.

    With the signed shares a of the clips (1 / n of source, -1 / n of target clips) the three means are a'Ka, and with
    K' the kernels' derivative by the squared distance the gradient is 4 a_i ((K'a)_i x_i - (K'(a x))_i).
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, n_source: int) -> Tensor:
        n_replicas, n_clips, _ = values.shape
        shares = values.new_full((n_clips,), 1 / n_source)
        shares[n_source:] = -1 / (n_clips - n_source)
        squares = values.square().sum(-1)
        weighted = torch.cat([values, torch.ones_like(values[..., :1])], -1) * shares.unsqueeze(-1)
        discrepancy, gradient = torch.empty_like(squares[:, 0]), torch.empty_like(values)
        size = 1 if values.device.type == "cpu" else n_replicas  # what is held of all pairs stays in a core's cache
        for block in (slice(first, first + size) for first in range(0, n_replicas, size)):
            mine, norm = values[block], squares[block]
            distance = torch.baddbmm(norm.unsqueeze(1), mine, mine.mT, alpha=-2).add_(norm.unsqueeze(2))
            some = distance[:, ::STRIDE, ::STRIDE].flatten(1)
            median = some.median(1).values.clamp_(min=1e-8).view(-1, 1, 1)
            kernel = distance.clamp_(min=0).div_(-MULTIPLES[0] * median).exp_()
            derivative, mean = kernel.clone(), torch.matmul(kernel, shares)
            for power in range(1, len(MULTIPLES)):  # half the bandwidth is the square of the kernel
                kernel.square_()
                mean += torch.matmul(kernel, shares)
                derivative.add_(kernel, alpha=2.0**power)
            discrepancy[block] = mean @ shares
            pulled = torch.bmm(derivative, weighted[block])
            torch.addcmul(pulled[..., :-1], mine, pulled[..., -1:], value=-1, out=gradient[block])
            gradient[block].mul_(shares.view(1, -1, 1) * (4 / MULTIPLES[0]) / median)
        ctx.save_for_backward(gradient)
        return discrepancy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0].view(-1, 1, 1), None
