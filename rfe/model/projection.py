"""Each encoder's features to the shared latent space."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rfe.model.blocks import blocks

EPSILON = 1e-5
"""Of LayerNorm."""


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout of a step: a mask for each random stream and rate, shared by the replicas that have both."""

    factors: Tensor
    """[mask, clip, latent] of `dropout_factors`."""
    mask: Tensor
    """[replica, slot] row of `factors`."""

    def slots(self, which: slice) -> "Dropout":
        """The masks of some slots."""
        return Dropout(self.factors, self.mask[:, which])

    def of(self, which: slice) -> Tensor:
        """[replica, slot, clip, latent] factors of some replicas."""
        mask = self.mask[which]
        return self.factors.index_select(0, mask.flatten()).view(*mask.shape, *self.factors.shape[1:])


def dropout_factors(noise: Tensor, rate: Tensor) -> Tensor:
    """0 in a share `rate` (to 1/65,536) of the places, else 1 / (1 - rate): a function of noise and rate alone.

    Args:
        noise: [mask, clip, latent] int16, uniform over all its values.
        rate: [mask] in [0, 1).

    Returns:
        [mask, clip, latent] of the rate's dtype.

    Examples:
        >>> noise = torch.tensor([[[-32768, -1, 32767]]], dtype=torch.int16)
        >>> dropout_factors(noise, torch.tensor([0.25]))
        tensor([[[0.0000, 1.3333, 1.3333]]])
    """
    rate = rate.view(-1, 1, 1)
    last = ((rate * 65536.0).round() - 32769.0).clamp(max=32766.0)  # of the numbers that stand for 0
    return noise.to(rate.dtype).sub_(last).clamp_(0.0, 1.0).mul_(1.0 / (1.0 - rate))


def project(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Linear map of one encoder's features, for every replica whose pool holds the encoder.

    Args:
        features: [replica, clip, dim].
        weight: [replica, dim, latent].
        bias: [replica, latent].

    Returns:
        [replica, clip, latent].
    """
    return torch.baddbmm(bias.unsqueeze(1), features, weight)


def activate(projected: Tensor, gain: Tensor, shift: Tensor, dropout: Dropout | None) -> Tensor:
    """Dropout(GELU(LayerNorm(.))) over the latent axis with each replica's and encoder's own gain and shift.

    Args:
        projected: [replica, slot, clip, latent].
        gain: [replica, slot, latent].
        shift: [replica, slot, latent].
        dropout: None for none.

    Returns:
        [replica, slot, clip, latent].

    Source: latent projection of arXiv 2605.21417 (abstract); equation ours.
    """
    latent: Tensor = _Activation.apply(projected.to(gain.dtype), gain.unsqueeze(2), shift.unsqueeze(2), dropout)  # type: ignore[no-untyped-call]
    return latent


class _Activation(torch.autograd.Function):
    """`activate` in blocks; only the normalised values are kept for the way back."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, gain: Tensor, shift: Tensor, dropout: Dropout | None) -> Tensor:
        latent, normed = torch.empty_like(projected), torch.empty_like(projected)
        scale = torch.empty_like(projected[..., :1])
        for block in blocks(projected):
            mine = normed[block]
            torch.sub(projected[block], projected[block].mean(-1, keepdim=True), out=mine)
            norm = torch.linalg.vector_norm(mine, dim=-1, keepdim=True)
            variance = norm.square_().div_(mine.shape[-1])
            mine.mul_(torch.rsqrt(variance.add_(EPSILON), out=scale[block]))
            activated = functional.gelu(torch.addcmul(shift[block], mine, gain[block], out=latent[block]))
            torch.mul(activated, 1.0 if dropout is None else dropout.of(block), out=latent[block])
        ctx.save_for_backward(normed, scale, gain, shift)
        ctx.dropout = dropout
        return latent

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        normed, scale, gain, shift = ctx.saved_tensors
        of_projected, of_gain, of_shift = (torch.empty_like(one) for one in (normed, gain, shift))
        zero, one = torch.zeros_like(scale), torch.ones_like(scale)
        for block in blocks(normed):
            mine, back = normed[block], gradient[block]
            if ctx.dropout is not None:
                back = ctx.dropout.of(block).mul_(back)
            back = torch.ops.aten.gelu_backward(back, torch.addcmul(shift[block], mine, gain[block]))
            torch.sum(back, 2, keepdim=True, out=of_shift[block])
            torch.sum(torch.mul(back, mine, out=of_projected[block]), 2, keepdim=True, out=of_gain[block])
            # LayerNorm's own way back from values that are normalised, then through the scaling that made them so.
            of_normed, _, _ = torch.ops.aten.native_layer_norm_backward(
                back.mul_(gain[block]), mine, mine.shape[-1:], zero[block], one[block], None, None, [True, False, False]
            )
            torch.mul(of_normed, scale[block], out=of_projected[block])
        return of_projected, of_gain, of_shift, None


def drop_out(values: Tensor, dropout: Dropout) -> Tensor:
    """[replica, slot, clip, latent] with dropout."""
    return values * dropout.of(slice(None))
