"""From the kept encoders' vectors to one fused vector per clip: three forms."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rfe.model.blocks import blocks
from rfe.model.parameters import of_replicas
from rfe.model.settings import ReplicaSettings


class Fusion:
    """Fuses the vectors of some replicas of a stack, each replica by its own form.

    Args:
        replicas: ascending, of those in `settings`.
        settings: of the whole stack.
        device: where the stack's tensors are.
    """

    def __init__(self, replicas: Sequence[int], settings: Sequence[ReplicaSettings], device: torch.device) -> None:
        def indices(chosen: Sequence[int]) -> Tensor:
            return torch.tensor(chosen, device=device, dtype=torch.long)

        self.replicas = indices(replicas)
        summed = [r for r in replicas if not settings[r].rank_concat]
        joined = [r for r in replicas if settings[r].rank_concat]
        embedded = [r for r in replicas if settings[r].rank_embedding]
        holders = {
            form: [r for r, one in enumerate(settings) if getattr(one, form)]
            for form in ("rank_concat", "rank_embedding")
        }
        self._summed, self._joined, self._embedded = (indices(chosen) for chosen in (summed, joined, embedded))
        self._embedded_among_summed = indices([summed.index(r) for r in embedded])
        self._joined_rows = indices([holders["rank_concat"].index(r) for r in joined])
        self._embedded_rows = indices([holders["rank_embedding"].index(r) for r in embedded])
        self._order = indices([*summed, *joined]).argsort()
        self._max_kept = max((one.n_kept for one in settings), default=0)

    def __call__(self, latent: Tensor, weights: Tensor, place: Tensor, value: dict[str, Tensor]) -> Tensor:
        """Fuse.

        Args:
            latent: [replica, slot, clip, latent] of the whole stack.
            weights: [replica, slot, clip].
            place: [replica, slot, clip] int; see `place_of`.
            value: the stack's parameters.

        Returns:
            [replica that is fused, clip, latent].
        """
        parts = []
        if len(self._summed):
            feature = sum_weighted(of_replicas(latent, self._summed), of_replicas(weights, self._summed))
            if len(self._embedded):
                embedding = of_replicas(value["fusion.rank_embedding"], self._embedded_rows).to(latent.dtype)
                added = embed_ranks(weights[self._embedded], place[self._embedded], embedding)
                feature = feature.index_add(0, self._embedded_among_summed, added.to(feature.dtype))
            parts.append(feature)
        if len(self._joined):
            place_weight = of_replicas(value["fusion.place_weight"], self._joined_rows)
            joined = concat_by_rank(
                of_replicas(latent, self._joined),
                of_replicas(weights, self._joined),
                of_replicas(place, self._joined),
                place_weight[:, : self._max_kept],
                of_replicas(value["fusion.bias"], self._joined_rows),
            )
            parts.append(joined.to(latent.dtype))
        return parts[0] if len(parts) == 1 else torch.cat(parts).index_select(0, self._order)


def sum_weighted(latent: Tensor, weights: Tensor) -> Tensor:
    """`weighted_sum`: sum_e w_e z_e.

    Args:
        latent: [replica, slot, clip, latent].
        weights: [replica, slot, clip].

    Returns:
        [replica, clip, latent].

    Examples:
        >>> latent = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])  # one replica, two encoders, one clip
        >>> sum_weighted(latent, torch.tensor([[[0.25], [0.75]]]))
        tensor([[[0.2500, 0.7500]]])
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

    Examples:
        >>> place_of(torch.tensor([[[0], [1], [2]]]), torch.tensor([2])).flatten()
        tensor([0, 1, 1])
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
