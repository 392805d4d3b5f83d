"""Attention over encoders: how informative is each encoder for this clip?"""

from typing import Any

import torch
from torch import Tensor

from rfe.model.blocks import add_product, blocks, low_precision, product


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
    scores: Tensor = _AdditiveAttention.apply(  # type: ignore[no-untyped-call]
        latent, available, query, latent_weight, context_weight, embedding, sees_clip
    )
    return (scores / temperature.view(-1, 1, 1)).float().masked_fill(~available, float("-inf"))


class _AdditiveAttention(torch.autograd.Function):
    """v . tanh(s), s = W_z z + W_c c + u, [replica, slot, clip], in blocks.

    tanh(s) = 2 sigmoid(2 s) - 1, and on a CPU the sigmoid takes a third of tanh's time: it is what is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        latent: Tensor,
        available: Tensor,
        query: Tensor,
        latent_weight: Tensor,
        context_weight: Tensor,
        embedding: Tensor,
        sees_clip: Tensor | None,
    ) -> Tensor:
        low = low_precision(latent.device)
        share = available.to(latent.dtype)
        share = (share / share.sum(1, keepdim=True).clamp(min=1.0)).unsqueeze(-1)
        context = torch.empty_like(latent[:, 0])
        sigmoid, scores = torch.empty_like(latent), latent.new_empty(len(latent), 1, latent[0, ..., 0].numel())
        twice = 2.0 if sees_clip is None else 2.0 * sees_clip.view(-1, 1, 1)
        latent_weight, context_weight = twice * latent_weight, twice * context_weight
        embedding, doubled = 2.0 * embedding.unsqueeze(2), 2.0 * query.unsqueeze(1)
        for block in blocks(latent):
            mine, seen = latent[block], sigmoid[block]
            torch.sum(torch.mul(mine, share[block], out=seen), 1, out=context[block])
            of_clip = product(context[block], context_weight[block], low)
            torch.add(of_clip.unsqueeze(1), embedding[block], out=seen)
            flat = add_product(seen.flatten(1, 2), mine.flatten(1, 2), latent_weight[block], low).sigmoid_()
            torch.bmm(doubled[block], flat.mT, out=scores[block])
        ctx.save_for_backward(latent, share, context, sigmoid, query, latent_weight, context_weight, sees_clip)
        ctx.low = low
        scores = scores.view(latent.shape[:-1])
        if sees_clip is not None:  # equal for all clips, to the last bit, where none is seen
            scores = torch.where(sees_clip.view(-1, 1, 1) > 0, scores, scores[..., :1])
        return scores.sub_(query.sum(-1).view(-1, 1, 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        latent, share, context, sigmoid, query, latent_weight, context_weight, sees_clip = ctx.saved_tensors
        of_latent, of_query = torch.empty_like(latent), torch.empty_like(query).unsqueeze(1)
        of_latent_weight, of_context_weight = torch.empty_like(latent_weight), torch.empty_like(context_weight)
        of_embedding = torch.empty_like(latent[:, :, 0])
        # The slope by 2 s is (gradient of the score) x 2 v x sigmoid (1 - sigmoid); the factor 2 v, the same for all
        # clips and slots, is left to the small tensors: `by_query`.
        by_query = 2.0 * query.unsqueeze(1)
        through_latent, through_context = by_query * latent_weight, by_query * context_weight
        for block in blocks(latent):
            mine, squashed, low = latent[block].flatten(1, 2), sigmoid[block].flatten(1, 2), ctx.low
            flat = gradient[block].flatten(1, 2)
            torch.bmm(flat.unsqueeze(1), squashed, out=of_query[block])
            flat = torch.ops.aten.sigmoid_backward(flat.unsqueeze(-1).expand_as(squashed), squashed)
            back = flat.view_as(latent[block])
            torch.sum(back, 2, out=of_embedding[block])
            of_context = back.sum(1)
            of_latent_weight[block] = product(mine.mT, flat, low)
            of_context_weight[block] = product(context[block].mT, of_context, low)
            of_mine = product(flat, through_latent[block].mT, low).view_as(back)
            of_context = product(of_context, through_context[block].mT, low).unsqueeze(1)
            torch.addcmul(of_mine, share[block], of_context, out=of_latent[block])
        by_weight = by_query * (2.0 if sees_clip is None else 2.0 * sees_clip.view(-1, 1, 1))
        return (
            of_latent,
            None,
            2.0 * of_query.squeeze(1) - gradient.sum((1, 2)).unsqueeze(1),
            of_latent_weight.mul_(by_weight),
            of_context_weight.mul_(by_weight),
            of_embedding.mul_(2.0 * by_query),
            None,
        )


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel noise from uniforms in [0, 1).

    Examples:
        >>> [round(value, 3) for value in gumbel(torch.tensor([0.1, 0.5, 0.9])).tolist()]
        [-0.834, 0.367, 2.25]
    """
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

    Examples:
        >>> even, here = torch.full((1, 2, 4), 0.5), torch.ones(1, 2, 4, dtype=torch.bool)
        >>> balance_loss(even, here, here)
        tensor([1.])
    """
    places = kept.to(weights.dtype)
    share = places.sum(2) / places.sum((1, 2), keepdim=False).clamp(min=1.0).unsqueeze(1)  # [replica, slot]
    n_encoders = available.any(2).sum(1).to(weights.dtype)
    return n_encoders * (share * weights.mean(2)).sum(1)
