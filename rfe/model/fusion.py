"""From the kept encoders' vectors to one fused vector per clip: three forms."""

from typing import Any

import torch
from torch import Tensor

from rfe.model.blocks import blocks


def sum_weighted(latent: Tensor, weights: Tensor) -> Tensor:
    """`weighted_sum`: sum_e w_e z_e.

    Args:
        latent: [replica, slot, clip, latent].
        weights: [replica, slot, clip].

    Returns:
        [replica, clip, latent].
    """
    fused: Tensor = _WeightedSum.apply(latent, weights)  # type: ignore[no-untyped-call]
    return fused


class _WeightedSum(torch.autograd.Function):
    """`sum_weighted` in blocks."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, weights: Tensor) -> Tensor:
        fused = latent.new_empty(latent.shape[0], *latent.shape[2:])
        for block in blocks(latent):
            torch.sum(latent[block] * weights[block].unsqueeze(-1), 1, out=fused[block])
        ctx.save_for_backward(latent, weights)
        return fused

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        latent, weights = ctx.saved_tensors
        of_latent, of_weights = torch.empty_like(latent), torch.empty_like(weights)
        for block in blocks(latent):
            back = gradient[block].unsqueeze(1)
            torch.mul(back, weights[block].unsqueeze(-1), out=of_latent[block])
            torch.sum(latent[block] * back, -1, out=of_weights[block])
        return of_latent, of_weights


def place_of(rank: Tensor, n_kept: Tensor) -> Tensor:
    """The place in which an encoder acts: its rank, or the last kept place for those not kept.

    Encoders that are not kept carry no weight, so this only decides through which place's parameters a straight-through
    gradient reaches them: as if they had come last among the kept.

    Args:
        rank: [replica, slot, clip].
        n_kept: [replica].

    Returns:
        [replica, slot, clip] int in [0, n_kept).
    """
    return torch.minimum(rank, (n_kept - 1).view(-1, 1, 1))


def shuffle_places(drawn: Tensor, kept: Tensor, n_kept: Tensor) -> Tensor:
    """`place_of` with the kept encoders in a random order, which says nothing of their ranks.

    Args:
        drawn: [replica, slot, clip] independent uniforms in [0, 1).
        kept: [replica, slot, clip] bool.
        n_kept: [replica].

    Returns:
        [replica, slot, clip] int in [0, n_kept): a permutation of the first places for the kept encoders.
    """
    order = torch.where(kept, drawn, drawn + 1.0).argsort(dim=1, stable=True)  # those not kept come last
    positions = torch.arange(drawn.shape[1], device=drawn.device).view(1, -1, 1).expand_as(order)
    return place_of(torch.empty_like(order).scatter_(1, order, positions), n_kept)


def concat_by_rank(latent: Tensor, weights: Tensor, place: Tensor, place_weight: Tensor, bias: Tensor) -> Tensor:
    """`rank_concat`: place r holds the weighted vector of the encoder ranked r; one linear layer over all places.

    Args:
        latent: [replica, slot, clip, latent].
        weights: [replica, slot, clip].
        place: [replica, slot, clip] int.
        place_weight: [replica, place, latent, latent]; as many places as any replica here may keep (later ones are 0).
        bias: [replica, latent].

    Returns:
        [replica, clip, latent].

    Source: "ordering matters", arXiv 2605.21417; equation ours.
    """
    places: Tensor = _Places.apply(latent, weights, place, place_weight.shape[1])  # type: ignore[no-untyped-call]
    return torch.matmul(places, place_weight).sum(1) + bias.unsqueeze(1)  # [replica, clip, latent]


class _Places(torch.autograd.Function):
    """[replica, place, clip, latent]: in each place the weighted vector of the encoder that has weight there, else 0.

    On the way there only rows of kept encoders are read; on the way back every encoder learns from the place in which
    it acts, in blocks.
    """

    @staticmethod
    def forward(ctx: Any, latent: Tensor, weights: Tensor, place: Tensor, n_places: int) -> Tensor:
        n_replicas, n_slots, n_clips, width = latent.shape
        clip = torch.arange(n_clips, device=latent.device)
        slot = torch.arange(n_slots, device=latent.device).view(1, -1, 1).expand_as(place)
        own = torch.where(weights != 0, place, n_places)  # one place more, for those without weight
        shape = n_replicas, n_places + 1, n_clips
        of_place = slot.new_zeros(shape).scatter_(1, own, slot)[:, :n_places]
        share = weights.new_zeros(shape).scatter_(1, own, weights)[:, :n_places].unsqueeze(-1)
        first = torch.arange(n_replicas, device=latent.device).view(-1, 1, 1)
        rows = (first * n_slots + of_place) * n_clips + clip
        places = latent.flatten(0, 2).index_select(0, rows.flatten()).view(*rows.shape, width).mul_(share)
        ctx.save_for_backward(latent, weights, place * n_clips + clip)
        return places

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        latent, weights, rows = ctx.saved_tensors
        of_latent, of_weights = torch.empty_like(latent), torch.empty_like(weights)
        n_rows = gradient.shape[1] * gradient.shape[2]
        for block in blocks(latent):
            mine = rows[block] + n_rows * torch.arange(len(rows[block]), device=rows.device).view(-1, 1, 1)
            back = gradient[block].flatten(0, 2).index_select(0, mine.flatten()).view_as(latent[block])
            torch.sum(latent[block] * back, -1, out=of_weights[block])
            torch.mul(back, weights[block].unsqueeze(-1), out=of_latent[block])
        return of_latent, of_weights, None, None


def embed_ranks(weights: Tensor, place: Tensor, embedding: Tensor) -> Tensor:
    """`rank_embedding`: what the learned embedding of each kept encoder's rank adds to the weighted sum.

    sum_e w_e (z_e + r_rank(e)) = `sum_weighted` + sum_e w_e r_rank(e); this is the second term.

    Args:
        weights: [replica, slot, clip].
        place: [replica, slot, clip] int.
        embedding: r, [replica, place, latent].

    Returns:
        [replica, clip, latent].
    """
    by_place = weights.new_zeros(weights.shape[0], embedding.shape[1], weights.shape[2])
    by_place = by_place.scatter_add(1, place, weights)
    return torch.bmm(by_place.transpose(1, 2), embedding)
