"""Attention over encoders: how informative is each encoder for this clip?"""

import torch
from torch import Tensor


def score_encoders(
    latent: Tensor,
    available: Tensor,
    query: Tensor,
    latent_weight: Tensor,
    context_weight: Tensor,
    embedding: Tensor,
    sees_clip: Tensor | None,
    temperature: Tensor,
) -> Tensor:
    """s = v . tanh(W_z z + W_c c + u) / tau, with c the mean of the clip's available encoders.

    Args:
        latent: z, [replica, slot, clip, latent].
        available: [replica, slot, clip] bool; False outside the pool and where the clip has no features.
        query: v, [replica, latent].
        latent_weight: W_z, [replica, latent, latent].
        context_weight: W_c, [replica, latent, latent].
        embedding: u of each slot's encoder, [replica, slot, latent].
        sees_clip: [replica] 1 where the score depends on the clip, 0 for a static gate; None: it does everywhere.
        temperature: tau > 0, [replica].

    Returns:
        [replica, slot, clip] scores, -inf where not available.

    Source: "attention-based gate" of arXiv 2605.21417 (abstract); equation ours, additive attention after Bahdanau
    et al. (arXiv 1409.0473).
    """
    n_replicas, n_slots, n_clips, width = latent.shape
    weight = available.to(latent.dtype).unsqueeze(-1)
    context = (latent * weight).sum(1) / weight.sum(1).clamp(min=1.0)  # [replica, clip, latent]
    seen = torch.bmm(latent.reshape(n_replicas, n_slots * n_clips, width), latent_weight)
    seen = seen.view(n_replicas, n_slots, n_clips, width) + torch.bmm(context, context_weight).unsqueeze(1)
    if sees_clip is not None:
        seen = seen * sees_clip.view(-1, 1, 1, 1)
    hidden = torch.tanh(seen + embedding.unsqueeze(2))
    scores = torch.matmul(hidden, query.view(n_replicas, 1, width, 1)).squeeze(-1) / temperature.view(-1, 1, 1)
    return scores.float().masked_fill(~available, float("-inf"))


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel noise from uniforms in [0, 1)."""
    return -torch.log(-torch.log(uniform.clamp(1e-7, 1.0 - 1e-7)))


def balance_loss(weights: Tensor, kept: Tensor, available: Tensor) -> Tensor:
    """L_balance = E sum_e f_e wbar_e: smallest when kept places and weight spread evenly over encoders.

    Args:
        weights: softmax over available encoders, [replica, slot, clip].
        kept: [replica, slot, clip] bool.
        available: [replica, slot, clip] bool.

    Returns:
        [replica] at least about 1; E is the replica's number of encoders seen in the batch.

    Source: load balancing of arXiv 2101.03961, equation 4.
    """
    places = kept.to(weights.dtype)
    share = places.sum(2) / places.sum((1, 2), keepdim=False).clamp(min=1.0).unsqueeze(1)  # [replica, slot]
    n_encoders = available.any(2).sum(1).to(weights.dtype)
    return n_encoders * (share * weights.mean(2)).sum(1)
