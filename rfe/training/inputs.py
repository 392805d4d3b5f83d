"""The inputs of one step: features, availability and random numbers of each replica's clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from rfe.model.projection import Dropout, dropout_factors
from rfe.model.random import integers, stream, uniforms
from rfe.model.stack import Mixing, Noise, StackedModel
from rfe.model.transfer import to_device
from rfe.training.build import FeatureView, Replica, StackShape


class FeatureSource(Protocol):
    """A source of features; tests use one without files."""

    available: Tensor
    """[encoder, clip] bool."""

    def view(self, view: FeatureView) -> Tensor:
        """[clip, dim] float32 of all clips, 0 where not available."""
        ...


@dataclass(frozen=True)
class StepRows:
    """Which rows of a table of clips each replica takes, worked out once an epoch."""

    key: Tensor
    """[replica] row of the table."""
    by_encoder: dict[int, tuple[list[tuple[Tensor, int]], Tensor | None]]
    """Encoder -> the distinct (features, row) its holders need, and [holder] which of them (None: in order)."""


class StackInputs:
    """Inputs of one stack; rebuilt when its replicas change."""

    def __init__(
        self, replicas: Sequence[Replica], shape: StackShape, model: StackedModel, source: FeatureSource
    ) -> None:
        self.replicas, self.shape, self.model, self.source = replicas, shape, model, source
        self.device = model.device
        self.has_control = any(one.model.shuffled or one.model.random_scores for one in replicas)
        self._drawn = sorted({encoder for slots in model.slots for encoder in slots})
        """Encoders that have masks."""
        self._masks: dict[tuple[int, ...], tuple[Tensor, Tensor, Tensor]] = {}
        """Of the replicas' addresses, whose pattern is the same at every step."""
        self.shuffles_places = any(one.model.shuffled_places for one in replicas)

    def rows(self, key: Sequence[int]) -> StepRows:
        """What each replica takes of a table of clips [key, clip].

        Args:
            key: [replica] the row of the table that holds the replica's clips.
        """
        rows: dict[int, tuple[list[tuple[Tensor, int]], Tensor | None]] = {}
        for encoder in range(len(self.shape.dims)):
            holders = self.model.holders(encoder)
            if not holders:
                continue
            pairs: dict[tuple[int, int], int] = {}
            views = []
            taken = []
            for replica in holders:
                view = self.source.view(self.replicas[replica].views[encoder])
                pair = (view.data_ptr(), key[replica])
                if pair not in pairs:
                    pairs[pair] = len(pairs)
                    views.append((view, key[replica]))
                taken.append(pairs[pair])
            identity = taken == list(range(len(views)))
            rows[encoder] = (views, None if identity else to_device(taken, self.device))
        return StepRows(to_device(key, self.device), rows)

    def gather(self, clips: Tensor, rows: StepRows) -> tuple[dict[int, Tensor], Tensor]:
        """Features and availability of `clips` [key, clip].

        Returns:
            Encoder -> [holder, clip, dim], and [replica, encoder, clip] bool.
        """
        features = {}
        for encoder, (views, taken) in rows.by_encoder.items():
            first, _ = views[0]
            distinct = first.new_empty(len(views), clips.shape[1], first.shape[1])
            for row, (view, key) in zip(distinct, views, strict=True):
                torch.index_select(view, 0, clips[key], out=row)
            features[encoder] = distinct if taken is None else distinct.index_select(0, taken)
        available = self.source.available.index_select(1, clips.flatten()).view(-1, *clips.shape)
        return features, available.transpose(0, 1).index_select(0, rows.key)

    def training_noise(self, count: Sequence[int], progress: Sequence[float]) -> Noise:
        """A training step's random numbers."""
        addresses: dict[tuple[int, int, int], int] = {}
        address = [
            addresses.setdefault((one.model.seed, one.model.fold, c), len(addresses))
            for one, c in zip(self.replicas, count, strict=True)
        ]
        sizes = [self.shape.batch_size] + ([2 * self.shape.n_drawn] if self.shape.n_drawn else [])
        noise = Noise(to_device(address, self.device))
        if any(one.model.dropout > 0 for one in self.replicas):
            noise.dropout = self._dropout(addresses, address, [size * self.shape.members for size in sizes])
        if any(one.model.encoder_dropout > 0 for one in self.replicas):
            noise.hidden = self._draw(addresses, "encoder_dropout", sizes)
        if any(one.model.mixup > 0 for one in self.replicas):
            noise.mixing = self._mixing(addresses, address)
        if any(one.model.gate_noise > 0 for one in self.replicas):
            noise.gate = self._draw(addresses, "gate", sizes)
            noise.anneal = to_device([1 - p for p in progress], self.device)
        if self.has_control:
            noise.control = self._draw(addresses, "control", sizes)
        if self.shuffles_places:
            noise.places = self._draw(addresses, "places", sizes)
        return noise

    def prediction_noise(self, purpose: str, n_clips: int) -> Noise:
        """No dropout and no gate noise; the controls' numbers, the same at every call."""
        addresses = {(one.model.seed, one.model.fold): None for one in self.replicas}
        position = {address: index for index, address in enumerate(addresses)}
        of = [position[one.model.seed, one.model.fold] for one in self.replicas]
        noise = Noise(to_device(of, self.device))
        shape = (len(self.shape.dims), n_clips)

        def draw(what: str) -> Tensor:
            drawn = [uniforms(seed, fold, f"{what}/{purpose}", 0, shape) for seed, fold in addresses]
            return to_device(np.stack(drawn), self.device)

        if self.has_control:
            noise.control = draw("control")
        if self.shuffles_places:
            noise.places = draw("places")
        return noise

    def _dropout(
        self, addresses: dict[tuple[int, int, int], int], address: Sequence[int], sizes: Sequence[int]
    ) -> Dropout:
        """Masks, one for each of address, encoder and rate."""
        width = self.shape.latent_dim
        drawn = np.empty((len(addresses), len(self._drawn), sum(sizes), width), np.int16)
        for (seed, fold, count), place in addresses.items():
            first = 0
            for name, size in zip(("dropout", "dropout/domains"), sizes, strict=False):
                numbers = integers(seed, fold, name, count, self._drawn, size * width)
                drawn[place, :, first : first + size] = numbers.reshape(-1, size, width)
                first += size
        source, rate, mask = self._masks_of(tuple(address))
        noise = to_device(drawn, self.device).flatten(0, 1)
        return Dropout(dropout_factors(noise.index_select(0, source), rate), mask)

    def _masks_of(self, address: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Row [mask] of the numbers drawn, rate [mask], and [replica, slot] mask."""
        if address not in self._masks:
            n_slots = max(len(slots) for slots in self.model.slots)
            place = {encoder: row for row, encoder in enumerate(self._drawn)}
            rows: dict[tuple[int, float], int] = {}
            taken = []
            for of, one, slots in zip(address, self.replicas, self.model.slots, strict=True):
                filled = [*slots, *[slots[0]] * (n_slots - len(slots))]
                keys = [(of * len(place) + place[encoder], one.model.dropout) for encoder in filled]
                taken.append([rows.setdefault(key, len(rows)) for key in keys])
            columns = ([row for row, _ in rows], [rate for _, rate in rows], taken)
            source, rate, mask = (to_device(column, self.device) for column in columns)
            self._masks = {address: (source, rate, mask)}
        return self._masks[address]

    def _mixing(self, addresses: dict[tuple[int, int, int], int], address: list[int]) -> Mixing:
        """Each clip's partner in the supervised batch, and each replica's share by its own alpha."""
        partners, quantiles = [], []
        for seed, fold, count in addresses:
            generator = stream(seed, fold, "mixup", count)
            quantiles.append(generator.random())
            partners.append(generator.permutation(self.shape.batch_size))
        alpha = np.array([one.model.mixup for one in self.replicas])
        share = np.ones(len(alpha))
        mixes = alpha > 0
        share[mixes] = betaincinv(alpha[mixes], alpha[mixes], np.array(quantiles)[address][mixes])
        partner = to_device(np.stack(partners)[address], self.device)
        return Mixing(partner, to_device(share, self.device))

    def _draw(self, addresses: dict[tuple[int, int, int], int], purpose: str, sizes: list[int]) -> Tensor:
        """[address, encoder, clip] uniforms; supervised clips and drawn clips have streams of their own, so that
        adaptation never shifts the former's numbers."""
        n_encoders = len(self.shape.dims)
        drawn = []
        for seed, fold, count in addresses:
            names = (purpose, f"{purpose}/domains")
            parts = [
                uniforms(seed, fold, name, count, (n_encoders, size)) for name, size in zip(names, sizes, strict=False)
            ]
            drawn.append(np.concatenate(parts, axis=1))
        return to_device(np.stack(drawn), self.device)
