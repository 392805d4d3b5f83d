"""Each encoder's features to the shared latent space."""

import torch
from torch import Tensor
from torch.nn import functional


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


def activate(projected: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """GELU(LayerNorm(.)) over the latent axis with each replica's and encoder's own gain and shift.

    Args:
        projected: [replica, slot, clip, latent].
        gain: [replica, slot, latent].
        shift: [replica, slot, latent].

    Returns:
        [replica, slot, clip, latent].

    Source: latent projection of arXiv 2605.21417 (abstract); equation ours.
    """
    normed = functional.layer_norm(projected, projected.shape[-1:])
    return functional.gelu(torch.addcmul(shift.unsqueeze(2), normed, gain.unsqueeze(2)))


def drop_out(values: Tensor, noise: Tensor, rate: Tensor) -> Tensor:
    """Inverted dropout with given noise, so that the mask is a function of the noise's address alone.

    Args:
        values: [replica, slot, clip, latent].
        noise: int16, same shape, uniform over all 65,536 values.
        rate: [replica] share of entries set to 0, in [0, 1).

    Returns:
        Same shape; entries are 0 with probability `rate` (to 1/65,536), the others divided by 1 - rate.
    """
    threshold = (rate * 65536.0).round() - 32768.0  # the lowest kept value of the int16 noise
    kept = noise >= threshold.clamp(max=32767).to(torch.int16).view(-1, 1, 1, 1)
    return values * (kept * (1.0 / (1.0 - rate)).view(-1, 1, 1, 1))
