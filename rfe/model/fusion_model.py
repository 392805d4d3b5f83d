"""Rank-aware selective fusion for a stack of replicas: projection, gate, selection, fusion, heads.

Every tensor has a leading replica axis, and no operation mixes replicas. A replica's encoders sit in **slots**: slot j
of a replica is the j-th encoder of its pool, so a stack does no work for encoders outside the pools.
"""

import torch
from torch import Tensor

from rfe.model.blocks import full_precision
from rfe.model.fusion import concat_by_rank, embed_ranks, place_of, shuffle_places, sum_weighted
from rfe.model.gate import gumbel, score_encoders
from rfe.model.head_fusion import fuse_heads
from rfe.model.heads import linear, presence_probabilities
from rfe.model.projection import activate, project
from rfe.model.selection import Selection, keep_top_n
from rfe.model.settings import ReplicaSettings
from rfe.model.stack import ModelOutput, Noise, StackedModel

HEADS = ("presence", "salience")


class FusionModel(StackedModel):
    """A stack of fusion models; arguments as `StackedModel`."""

    def _add_parameters(self) -> None:
        everyone = list(range(len(self.settings)))
        hidden, n_encoders = self.latent_dim, len(self.dims)
        for encoder, name in enumerate(self.names):
            holders = [r for r in everyone if encoder in self.settings[r].pool]
            self._add(f"projection.{name}.weight", (self.dims[encoder], hidden), "linear", holders)
            self._add(f"projection.{name}.bias", (hidden,), "zeros", holders)
        self._add("projection.gain", (n_encoders, hidden), "ones", everyone)
        self._add("projection.shift", (n_encoders, hidden), "zeros", everyone)
        self._add("gate.query", (hidden,), "linear", everyone)
        self._add("gate.latent_weight", (hidden, hidden), "linear", everyone)
        self._add("gate.context_weight", (hidden, hidden), "linear", everyone)
        self._add("gate.embedding", (n_encoders, hidden), "embedding", everyone)
        concat = [r for r in everyone if self.settings[r].rank_concat]
        self._add("fusion.place_weight", (n_encoders, hidden, hidden), "linear", concat)
        self._add("fusion.bias", (hidden,), "zeros", concat)
        embedded = [r for r in everyone if self.settings[r].rank_embedding]
        self._add("fusion.rank_embedding", (n_encoders, hidden), "embedding", embedded)
        for head in HEADS:
            self._add(f"{head}.weight", (hidden, self.task.n_classes), "linear", everyone)
            self._add(f"{head}.bias", (self.task.n_classes,), "zeros", everyone)
        n_pairs = self.task.n_pairs  # without any, the sets' logits are the classes'
        paired = [r for r in everyone if self.settings[r].pair_logits and n_pairs]
        self._add("pairs.weight", (hidden, n_pairs), "linear", paired)
        self._add("pairs.bias", (n_pairs,), "zeros", paired)
        self._add_discriminator("domains", 2, [r for r in everyone if self.settings[r].tells_domains])
        n_actors = max(one.n_actors for one in self.settings)
        self._add_discriminator("actors", n_actors, [r for r in everyone if self.settings[r].n_actors])

    def _add_discriminator(self, kind: str, n_classes: int, holders: list[int]) -> None:
        hidden = self.latent_dim
        self._add(f"discriminator.{kind}.hidden_weight", (hidden, hidden), "linear", holders)
        self._add(f"discriminator.{kind}.hidden_bias", (hidden,), "zeros", holders)
        self._add(f"discriminator.{kind}.weight", (hidden, n_classes), "linear", holders)
        self._add(f"discriminator.{kind}.bias", (n_classes,), "zeros", holders)

    def _settle(self, settings: list[ReplicaSettings]) -> None:
        """Everything that follows from which replicas are in the stack."""
        super()._settle(settings)
        n_slots = max(len(one.pool) for one in settings)
        slots = [[*one.pool, *[-1] * (n_slots - len(one.pool))] for one in settings]
        self.slot_encoder = torch.tensor(slots, device=self.device)  # [replica, slot], -1 unused
        self.slot_used = self.slot_encoder >= 0
        pools = {one.pool for one in settings}
        self.one_pool = torch.tensor(pools.pop(), device=self.device) if len(pools) == 1 else None  # [slot]
        # Projections are computed encoder by encoder and concatenated; each (replica, slot) finds its row here.
        rows: dict[tuple[int, int], int] = {}
        for encoder in range(len(self.dims)):
            for replica, one in enumerate(settings):
                if encoder in one.pool:
                    rows[replica, encoder] = len(rows)
        table = [[rows.get((r, e), len(rows)) for e in row] for r, row in enumerate(slots)]
        self.slot_row = torch.tensor(table, device=self.device).flatten()
        self.max_kept = max(one.n_kept for one in settings)
        fused = [[r for r, one in enumerate(settings) if one.rank_concat is concat] for concat in (False, True)]
        self.summed, self.concatenated = (torch.tensor(some, device=self.device, dtype=torch.long) for some in fused)

    def __call__(
        self,
        features: dict[int, Tensor],
        available: Tensor,
        noise: Noise,
        values: dict[str, Tensor] | None = None,
    ) -> ModelOutput:
        """Forward pass; see `StackedModel.__call__`."""
        value = values if values is not None else self.values()
        scalars = self.scalars
        latent = self._project(features, value, noise)
        mask = self._by_slot(available)
        if self.one_pool is None:
            mask = mask & self.slot_used.unsqueeze(-1)  # [replica, slot, clip]
        if noise.hidden is not None:
            hidden = self._by_slot(noise.hidden, noise.address) < scalars.encoder_dropout.view(-1, 1, 1)
            seen = mask & ~hidden
            mask = torch.where(seen.any(1, keepdim=True), seen, mask)  # never all of them
        scores = self._score(latent, mask, value, noise)
        selection = keep_top_n(scores, mask, scalars.n_kept, scalars.straight_through)
        feature = self._fuse(latent, selection, value, noise)
        answered = feature if noise.mixing is None else noise.mixing.mix(feature)
        # One product for both heads: so few columns alone take a processor longer than twice as many.
        weight, bias = (torch.cat([value[f"{head}.{part}"] for head in HEADS], -1) for part in ("weight", "bias"))
        presence_logits, salience_logits = torch.split(linear(answered, weight, bias).float(), self.task.n_classes, -1)
        # As `log_softmax`, which is 3x slower on CPU for so few columns.
        log_salience = salience_logits - salience_logits.logsumexp(-1, keepdim=True)
        pair_logits = self._pair_logits(answered, value)
        with full_precision(self.device):  # a probability in bf16 has two digits
            presence = presence_probabilities(self.sets, presence_logits, scalars.by_states, pair_logits)
            log_fused = fuse_heads(presence, log_salience, scalars.presence_weight, scalars.geometric)
        return ModelOutput(
            presence_logits, salience_logits, log_salience, log_fused, feature, scores, selection, pair_logits
        )

    def _pair_logits(self, feature: Tensor, value: dict[str, Tensor]) -> Tensor | None:
        """[replica, clip, pair] of their own, 0 for replicas without; None where no replica has them."""
        if "pairs.weight" not in self.parameters:
            return None
        mine = self.parameters["pairs.weight"].holders
        own = linear(_some(feature, mine), value["pairs.weight"], value["pairs.bias"]).float()
        if len(own) == len(feature):
            return own
        return own.new_zeros(len(feature), *own.shape[1:]).index_copy(0, mine, own)

    def _by_slot(self, values: Tensor, row: Tensor | None = None) -> Tensor:
        """[row, encoder, ...] -> [replica, slot, ...] of each slot's encoder; `row` [replica], default its own."""
        if row is None and self.one_pool is not None:
            return values if len(self.one_pool) == len(self.dims) else values.index_select(1, self.one_pool)
        if row is None:
            row = torch.arange(values.shape[0], device=values.device)
        taken = values.flatten(0, 1).index_select(0, self._rows_by_slot(row).flatten())
        return taken.view(*self.slot_encoder.shape, *values.shape[2:])

    def _rows_by_slot(self, row: Tensor) -> Tensor:
        """[replica, slot] rows of a flattened [row, encoder] table; `row` [replica]."""
        return row.unsqueeze(1) * len(self.dims) + self.slot_encoder.clamp(min=0)

    def _project(self, features: dict[int, Tensor], value: dict[str, Tensor], noise: Noise) -> Tensor:
        projected = []
        for index, name in enumerate(self.names):
            if index in features:
                projected.append(
                    project(features[index], value[f"projection.{name}.weight"], value[f"projection.{name}.bias"])
                )
        if self.one_pool is not None:
            latent = torch.stack(projected, 1)
        else:
            rows = torch.cat([*projected, projected[0].new_zeros(1, *projected[0].shape[1:])])  # the last: unused slots
            latent = rows.index_select(0, self.slot_row).view(*self.slot_encoder.shape, *rows.shape[1:])
        # latent: [replica, slot, clip, latent]
        gain, shift = (self._by_slot(value[f"projection.{name}"]) for name in ("gain", "shift"))
        return activate(latent, gain, shift, noise.dropout)

    def _score(
        self,
        latent: Tensor,
        mask: Tensor,
        value: dict[str, Tensor],
        noise: Noise,
    ) -> Tensor:
        scalars = self.scalars
        scores = score_encoders(
            latent,
            mask,
            value["gate.query"],
            value["gate.latent_weight"],
            value["gate.context_weight"],
            self._by_slot(value["gate.embedding"]),
            None if scalars.sees_clip is None else scalars.sees_clip.to(latent.dtype),
            scalars.temperature,
        )
        if noise.gate is not None:
            drawn = gumbel(self._by_slot(noise.gate, noise.address))
            scores = scores + drawn * (scalars.gate_noise * noise.anneal).view(-1, 1, 1)
        if scalars.uniform is not None:
            scores = torch.where(scalars.uniform.view(-1, 1, 1) & mask, torch.zeros_like(scores), scores)
        if noise.control is not None:
            drawn = self._by_slot(noise.control, noise.address)
            if scalars.shuffled is not None:
                # Another clip's scores: the clip order of one uniform per clip is a permutation.
                other = drawn[:, 0].argsort(-1).unsqueeze(1).expand_as(scores)
                shuffled = torch.nan_to_num(scores, neginf=0.0).gather(2, other)
                scores = torch.where(scalars.shuffled.view(-1, 1, 1) & mask, shuffled, scores)
            if scalars.random_scores is not None:
                scores = torch.where(scalars.random_scores.view(-1, 1, 1) & mask, drawn, scores)
        return scores

    def _fuse(self, latent: Tensor, selection: Selection, value: dict[str, Tensor], noise: Noise) -> Tensor:
        weights = selection.weights.to(latent.dtype)
        place = place_of(selection.rank, self.scalars.n_kept)
        if noise.places is not None and self.scalars.shuffled_places is not None:
            drawn = self._by_slot(noise.places, noise.address)
            shuffled = shuffle_places(drawn, selection.kept, self.scalars.n_kept)
            place = torch.where(self.scalars.shuffled_places.view(-1, 1, 1), shuffled, place)
        parts = []
        if len(self.summed):
            feature = sum_weighted(_some(latent, self.summed), _some(weights, self.summed))
            if "fusion.rank_embedding" in self.parameters:
                mine = self.parameters["fusion.rank_embedding"].holders
                added = embed_ranks(weights[mine], place[mine], value["fusion.rank_embedding"].to(latent.dtype))
                feature = feature.index_add(0, torch.searchsorted(self.summed, mine), added.to(feature.dtype))
            parts.append(feature)
        if len(self.concatenated):
            place_weight = value["fusion.place_weight"][:, : min(self.max_kept, len(self.dims))]
            mine = self.concatenated
            joined = concat_by_rank(
                _some(latent, mine), _some(weights, mine), _some(place, mine), place_weight, value["fusion.bias"]
            )
            parts.append(joined.to(latent.dtype))
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts).index_select(0, torch.cat([self.summed, self.concatenated]).argsort())


def _some(values: Tensor, replicas: Tensor) -> Tensor:
    """[replica, ...] of some replicas, in ascending order; the tensor itself where that is all of them."""
    return values if len(replicas) == len(values) else values.index_select(0, replicas)
