"""Rank-aware selective fusion for a stack of replicas: projection, gate, selection, fusion, heads.

Every tensor has a leading replica axis, and no operation mixes replicas. A replica's encoders sit in **slots**: slot j
of a replica is the j-th encoder of its pool, so a stack does no work for encoders outside the pools.
"""

import torch
from torch import Tensor

from rfe.model.auxiliary import AuxiliaryHeads, AuxiliaryOutput, auxiliary_parameters
from rfe.model.blocks import full_precision
from rfe.model.early import activate_early, scale_weights, share_of_entry
from rfe.model.fusion import Fusion, place_of, shuffle_places
from rfe.model.gate import gumbel, score_encoders
from rfe.model.head_fusion import fuse_heads
from rfe.model.heads import linear, presence_distribution
from rfe.model.members import average_members, scale_members, split_members, unfold
from rfe.model.pair_heads import PairHeads, pair_parameters
from rfe.model.parameters import of_replicas
from rfe.model.projection import Dropout, activate, project
from rfe.model.selection import KeptEncoders, keep_top_n
from rfe.model.settings import ReplicaSettings
from rfe.model.slot_table import SlotTable
from rfe.model.stack import ModelOutput, Noise, StackedModel

HEADS = ("presence", "salience")


class FusionModel(StackedModel):
    """A stack of fusion models; arguments as `StackedModel`."""

    def _add_parameters(self) -> None:
        everyone, members = list(range(len(self.settings))), self.n_members
        hidden, n_encoders = self.latent_dim, len(self.dims)
        early = [r for r in everyone if self.settings[r].early]
        for encoder, name in enumerate(self.names):
            holders = self._add_projection(encoder, early)
            self._add(f"projection.{name}.bias", (hidden,), "zeros", holders)
        self._add("projection.gain", (n_encoders, hidden), "ones", everyone)
        self._add("projection.shift", (n_encoders, hidden), "zeros", everyone)
        if members > 1:
            self._add("members.projection", (n_encoders, members, hidden), "signs", everyone)
            self._add("members.latent", (n_encoders, members, hidden), "ones", everyone)
            self._add("members.fused", (members, hidden), "ones", everyone)
        self._add("gate.query", (hidden,), "linear", everyone)
        self._add("gate.latent_weight", (hidden, hidden), "linear", everyone)
        self._add("gate.context_weight", (hidden, hidden), "linear", everyone)
        self._add("gate.embedding", (n_encoders, hidden), "embedding", everyone)
        self._add("early.gain", (hidden,), "ones", early)
        self._add("early.shift", (hidden,), "zeros", early)
        self._add("early.embedding", (hidden,), "embedding", [r for r in early if self.settings[r].late])
        concat = [r for r in everyone if self.settings[r].rank_concat]
        self._add("fusion.place_weight", (n_encoders, hidden, hidden), "linear", concat)
        self._add("fusion.bias", (hidden,), "zeros", concat)
        embedded = [r for r in everyone if self.settings[r].rank_embedding]
        self._add("fusion.rank_embedding", (n_encoders, hidden), "embedding", embedded)
        heads = auxiliary_parameters(self.settings, self.task, n_encoders, hidden)
        for name, (shape, kind, holders) in {**heads, **pair_parameters(self.settings, self.task, hidden)}.items():
            self._add(name, shape, kind, holders)
        for head in HEADS:
            self._add(f"{head}.weight", (hidden, self.task.n_classes), "linear", everyone)
            self._add(f"{head}.bias", (self.task.n_classes,), "zeros", everyone)
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
        self.table = SlotTable(settings, len(self.dims), self.device)
        self.auxiliary = AuxiliaryHeads(self.parameters, self.table, self.sets)
        self.pairs = PairHeads(self.parameters, self.task, self.sets)
        stages = [[r for r, one in enumerate(settings) if getattr(one, stage)] for stage in ("late", "early")]
        self.late, self.early = (Fusion(replicas, settings, self.device) for replicas in stages)
        both = [r for r in stages[0] if r in stages[1]]
        lists = both, [stages[0].index(r) for r in both], [stages[1].index(r) for r in both]
        tensors = [torch.tensor(one, device=self.device, dtype=torch.long) for one in lists]
        self.both, self.both_of_late, self.both_of_early = tensors
        if stages[1]:  # the first of a replica's masks is its early vector's
            self.slots = [(len(self.dims) if one.early else one.pool[0], *one.pool) for one in settings]

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
        projected = self._project(features, value)
        if self.n_members > 1:
            projected = unfold(
                projected.to(value["projection.gain"].dtype), self.table.take(value["members.projection"])
            )
        gain, shift = (self.table.take(value[f"projection.{name}"]) for name in ("gain", "shift"))
        latent = activate(projected, gain, shift, self._dropout(noise, early=False))
        if self.n_members > 1:
            latent = scale_members(latent, self.table.take(value["members.latent"]))
        mask = self.table.mask(available)  # [replica, slot, clip]
        if noise.hidden is not None:
            hidden = self.table.take(noise.hidden, noise.address) < scalars.encoder_dropout.view(-1, 1, 1)
            seen = mask & ~hidden
            mask = torch.where(seen.any(1, keepdim=True), seen, mask)  # never all of them
        shown = self._mean_of_members(latent, 2)  # members share the gate
        auxiliary = self.auxiliary.predict(shown, value)
        scores = self._score(shown, mask, auxiliary, value, noise)
        selection = keep_top_n(scores, mask, scalars.n_kept, scalars.straight_through)
        feature = self._fuse(projected, latent, mask, scores, selection, value, noise)
        answered = self._mix(feature, noise, self.n_members)
        if self.n_members > 1:
            answered = scale_members(answered, value["members.fused"])
            feature = self._mean_of_members(feature, 1)
        # One product for both heads: so few columns alone take a processor longer than twice as many.
        weight, bias = (torch.cat([value[f"{head}.{part}"] for head in HEADS], -1) for part in ("weight", "bias"))
        presence_logits, salience_logits = torch.split(linear(answered, weight, bias).float(), self.task.n_classes, -1)
        # As `log_softmax`, which is 3x slower on CPU for so few columns.
        log_salience = salience_logits - salience_logits.logsumexp(-1, keepdim=True)
        pair_logits = self.pairs.logits(answered, value)
        if auxiliary is not None and scalars.residual is not None:
            residual = self.auxiliary.weighted(auxiliary, selection.weights * scalars.residual.view(-1, 1, 1))
            classes, pairs = (
                None if one is None else self._of_members(self._mix(one, noise, 1), 1) for one in residual
            )
            presence_logits = presence_logits if classes is None else presence_logits + classes
            pair_logits = pair_logits if pairs is None or pair_logits is None else pair_logits + pairs
        pair_logits = self.pairs.decide_blend(answered, presence_logits, pair_logits, value)
        with full_precision(self.device):  # a probability in bf16 has two digits
            presence = presence_distribution(self.sets, presence_logits, scalars.by_states, pair_logits)
            log_fused = fuse_heads(presence, log_salience, scalars.presence_weight, scalars.geometric)
        return ModelOutput(
            presence_logits,
            salience_logits,
            log_salience,
            log_fused,
            feature,
            scores,
            selection,
            pair_logits,
            None if auxiliary is None else self.auxiliary.log_sets(auxiliary),
            self.pairs.leanings(answered, value),
        )

    def average(self, output: ModelOutput) -> ModelOutput:
        """As `StackedModel.average`."""
        if self.n_members == 1:
            return output
        return average_members(output, self.n_members, self.sets, self.scalars.by_states)

    def _of_members(self, values: Tensor, axis: int) -> Tensor:
        """The same for all members of a clip: clips along the axis become clips x members."""
        return values if self.n_members == 1 else values.repeat_interleave(self.n_members, axis)

    def _mean_of_members(self, values: Tensor, axis: int) -> Tensor:
        """The inverse: one for each clip."""
        return values if self.n_members == 1 else split_members(values, self.n_members, axis).mean(axis + 1)

    def _mix(self, values: Tensor, noise: Noise, n_members: int) -> Tensor:
        """Mixup of [replica, clip x member, ...]: a member's clip with its partner's of the same member."""
        if noise.mixing is None:
            return values
        return noise.mixing.mix(values.reshape(len(values), -1, n_members * values.shape[-1])).view_as(values)

    def _project(self, features: dict[int, Tensor], value: dict[str, Tensor]) -> Tensor:
        """[replica, slot, clip, latent] before the nonlinearity."""
        projected = []
        for index, name in enumerate(self.names):
            if index in features:
                projected.append(
                    project(features[index], value[f"projection.{name}.weight"], value[f"projection.{name}.bias"])
                )
        return self.table.gather(projected)

    def _dropout(self, noise: Noise, early: bool) -> Dropout | None:
        """Of the early vector (of its replicas), or of the encoders' vectors."""
        if noise.dropout is None or not len(self.early.replicas):
            return noise.dropout
        if not early:
            return noise.dropout.slots(slice(1, None))
        return Dropout(noise.dropout.factors, of_replicas(noise.dropout.mask, self.early.replicas)[:, :1])

    def _score(
        self,
        latent: Tensor,
        mask: Tensor,
        auxiliary: AuxiliaryOutput | None,
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
            self.table.take(value["gate.embedding"]),
            None if scalars.sees_clip is None else scalars.sees_clip.to(latent.dtype),
            scalars.temperature,
        )
        if auxiliary is not None and "gate.agreement_query" in self.parameters:
            with full_precision(self.device):
                agreement = self.auxiliary.score(auxiliary, mask, value)
            scores = scores + agreement / scalars.temperature.view(-1, 1, 1)
        if noise.gate is not None:
            drawn = gumbel(self.table.take(noise.gate, noise.address))
            scores = scores + drawn * (scalars.gate_noise * noise.anneal).view(-1, 1, 1)
        if scalars.uniform is not None:
            scores = torch.where(scalars.uniform.view(-1, 1, 1) & mask, torch.zeros_like(scores), scores)
        if noise.control is not None:
            drawn = self.table.take(noise.control, noise.address)
            if scalars.shuffled is not None:
                shuffled = torch.nan_to_num(scores, neginf=0.0).gather(2, self._other_clip(noise).expand_as(scores))
                scores = torch.where(scalars.shuffled.view(-1, 1, 1) & mask, shuffled, scores)
            if scalars.random_scores is not None:
                scores = torch.where(scalars.random_scores.view(-1, 1, 1) & mask, drawn, scores)
        return scores

    def _fuse(
        self,
        projected: Tensor,
        latent: Tensor,
        mask: Tensor,
        scores: Tensor,
        selection: KeptEncoders,
        value: dict[str, Tensor],
        noise: Noise,
    ) -> Tensor:
        """f, [replica, clip, latent]."""
        weights = selection.weights.to(latent.dtype)
        place = place_of(selection.rank, self.scalars.n_kept)
        if noise.places is not None and self.scalars.shuffled_places is not None:
            drawn = self.table.take(noise.places, noise.address)
            shuffled = shuffle_places(drawn, selection.kept, self.scalars.n_kept)
            place = torch.where(self.scalars.shuffled_places.view(-1, 1, 1), shuffled, place)
        weights, place = self._of_members(weights, -1), self._of_members(place, -1)
        if not len(self.early.replicas):
            return self.late(latent, weights, place, value)
        mask = self._of_members(mask, -1)
        early = activate_early(
            self.early(projected.to(latent.dtype), scale_weights(weights, mask), place, value),
            of_replicas(mask, self.early.replicas),
            value["early.gain"],
            value["early.shift"],
            self._dropout(noise, early=True),
        )
        if not len(self.late.replicas):
            return early
        late = self.late(latent, weights, place, value)
        if len(self.both):
            score = self._score_early(self._mean_of_members(early, 1), value, noise)
            share = self._of_members(share_of_entry(score, of_replicas(scores, self.both)), -1).unsqueeze(-1)
            whole = share.new_ones(share.shape)
            for_late = share.new_ones(len(late), *share.shape[1:]).index_copy(0, self.both_of_late, whole - share)
            for_early = share.new_ones(len(early), *share.shape[1:]).index_copy(0, self.both_of_early, share)
            late, early = late * for_late, early * for_early
        feature = latent.new_zeros(len(latent), *latent.shape[2:])
        feature = feature.index_add(0, self.late.replicas, late.to(feature.dtype))
        return feature.index_add(0, self.early.replicas, early.to(feature.dtype))

    def _score_early(self, early: Tensor, value: dict[str, Tensor], noise: Noise) -> Tensor:
        """Score of the early vector as an entry, [replica with both stages, clip]; it is its own context."""
        scalars, both = self.scalars, self.both
        entry = of_replicas(early, self.both_of_early).unsqueeze(1)
        scores = score_encoders(
            entry,
            torch.ones_like(entry[..., 0], dtype=torch.bool),
            of_replicas(value["gate.query"], both),
            of_replicas(value["gate.latent_weight"], both),
            of_replicas(value["gate.context_weight"], both),
            value["early.embedding"].unsqueeze(1),
            None if scalars.sees_clip is None else of_replicas(scalars.sees_clip, both).to(entry.dtype),
            of_replicas(scalars.temperature, both),
        )
        for equal in (scalars.uniform, scalars.random_scores):
            if equal is not None:
                scores = torch.where(of_replicas(equal, both).view(-1, 1, 1), torch.zeros_like(scores), scores)
        if noise.control is not None and scalars.shuffled is not None:
            shuffled = scores.gather(2, of_replicas(self._other_clip(noise), both))
            scores = torch.where(of_replicas(scalars.shuffled, both).view(-1, 1, 1), shuffled, scores)
        return scores.squeeze(1)

    def _other_clip(self, noise: Noise) -> Tensor:
        """[replica, 1, clip] whose scores a clip gets under the control `shuffled`: the order of one uniform per clip
        is a permutation."""
        assert noise.control is not None
        return self.table.take(noise.control, noise.address)[:, 0].argsort(-1).unsqueeze(1)
