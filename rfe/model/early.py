"""Early fusion: the encoders meet before the nonlinearity, as in a layer on concatenated features.

h_i = Dropout(GELU(LayerNorm(F(E_i w_ie, W_e x_ie + b_e)))), with w the gate's weights over the kept encoders, E_i the
clip's number of available encoders and F any of the forms of `rfe.model.fusion`. With a uniform gate that keeps all
encoders and F the weighted sum, E_i w_ie = 1: h is one linear layer on all features (its bias the sum of the b_e),
LayerNorm, GELU, the concatenation network. Equation ours.

With both stages, h is one more entry beside the late vectors: it has a score s_i of its own, by the gate's own
parameters, and f_i = (1 - g_i) sum_e w_ie z_ie + g_i h_i with g_i = exp(s_i) / (exp(s_i) + sum_e exp(s_ie)), the
softmax over all entries. The best n are chosen among encoders: h, made of the kept ones, is always kept. Equation ours.
"""

import torch
from torch import Tensor

from rfe.model.projection import Dropout, activate


def scale_weights(weights: Tensor, available: Tensor) -> Tensor:
    """E_i w_ie [replica, slot, clip], of weights and availability of this shape."""
    return weights * available.sum(1, keepdim=True).to(weights.dtype)


def activate_early(fused: Tensor, available: Tensor, gain: Tensor, shift: Tensor, dropout: Dropout | None) -> Tensor:
    """h [replica, clip, latent]; 0 for a clip without any encoder, which the heads' biases answer.

    Args:
        fused: F, [replica, clip, latent].
        available: [replica, slot, clip] bool.
        gain, shift: of LayerNorm, [replica, latent].
        dropout: of one slot; None for none.
    """
    hidden = activate(fused.unsqueeze(1), gain.unsqueeze(1), shift.unsqueeze(1), dropout).squeeze(1)
    return hidden * available.any(1).unsqueeze(-1)


def share_of_entry(score: Tensor, scores: Tensor) -> Tensor:
    """g [replica, clip]: the softmax weight of one more entry beside the encoders.

    Args:
        score: of the entry, [replica, clip].
        scores: of the encoders, [replica, slot, clip], -inf where not available; all of them: the entry gets it all.
    """
    total = scores.masked_fill(torch.isneginf(scores).all(1, keepdim=True), 0.0).logsumexp(1)
    return torch.sigmoid(score - total)
