"""What one step feeds a stack: features, availability and random numbers of each replica's clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv
from torch import Tensor

from rfe.model.projection import Dropout, dropout_factors
from rfe.model.random import stream, uniforms
from rfe.model.stack import Mixing, Noise, StackedModel
from rfe.training.build import Replica, StackShape, View


class FeatureSource(Protocol):
    """Where features come from; a stand-in needs no files."""

    available: Tensor
    """[encoder, clip] bool."""

    def view(self, view: View) -> Tensor:
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
    """Inputs of one stack; made anew when its replicas change."""

    def __init__(
        self, replicas: Sequence[Replica], shape: StackShape, model: StackedModel, source: FeatureSource
    ) -> None:
        self.replicas, self.shape, self.model, self.source = replicas, shape, model, source
        self.device = model.device
        self.has_control = any(one.model.shuffled or one.model.random_scores for one in replicas)
        self._masks: dict[tuple[int, ...], tuple[Tensor, Tensor, Tensor]] = {}
        """Pattern of addresses, the same at every step -> source and rate of masks [mask], and
        [replica, slot] mask."""
        self.shuffles_places = any(one.model.shuffled_places for one in replicas)

    def rows(self, key: Sequence[int]) -> StepRows:
        """What each replica takes of a table of clips [key, clip].

        Args:
            key: [replica] the row of the table that holds the replica's clips.
        """
        rows: dict[int, tuple[list[tuple[Tensor, int]], Tensor | None]] = {}
        for encoder in range(len(self.shape.dims)):
            holders = self.model.holders(encoder)
            if holders is None:
                continue
            pairs: dict[tuple[int, int], int] = {}
            views = []
            taken = []
            for replica in holders.tolist():
                view = self.source.view(self.replicas[replica].views[encoder])
                pair = (view.data_ptr(), key[replica])
                if pair not in pairs:
                    pairs[pair] = len(pairs)
                    views.append((view, key[replica]))
                taken.append(pairs[pair])
            identity = taken == list(range(len(views)))
            rows[encoder] = (views, None if identity else torch.tensor(taken, device=self.device))
        return StepRows(torch.tensor(list(key), device=self.device), rows)

    def gather(self, clips: Tensor, rows: StepRows) -> tuple[dict[int, Tensor], Tensor]:
        """Features and availability of `clips` [key, clip].

        Returns:
            Encoder -> [holder, clip, dim], and [replica, encoder, clip] bool.
        """
        features = {}
        for encoder, (views, taken) in rows.by_encoder.items():
            distinct = torch.stack([view.index_select(0, clips[key]) for view, key in views])
            features[encoder] = distinct if taken is None else distinct.index_select(0, taken)
        return features, self.source.available[:, clips].transpose(0, 1)[rows.key]

    def training_noise(self, count: Sequence[int], progress: Sequence[float]) -> Noise:
        """A training step's random numbers."""
        addresses: dict[tuple[int, int, int], int] = {}
        address = [
            addresses.setdefault((one.model.seed, one.model.fold, c), len(addresses))
            for one, c in zip(self.replicas, count, strict=True)
        ]
        sizes = [self.shape.batch_size] + ([2 * self.shape.n_drawn] if self.shape.n_drawn else [])
        noise = Noise(torch.tensor(address, device=self.device))
        if any(one.model.dropout > 0 for one in self.replicas):
            noise.dropout = self._dropout(self._draw(addresses, "dropout", sizes, self.shape.latent_dim), address)
        if any(one.model.encoder_dropout > 0 for one in self.replicas):
            noise.hidden = self._draw(addresses, "encoder_dropout", sizes, None)
        if any(one.model.mixup > 0 for one in self.replicas):
            noise.mixing = self._mixing(addresses, address)
        if any(one.model.gate_noise > 0 for one in self.replicas):
            noise.gate = self._draw(addresses, "gate", sizes, None)
            noise.anneal = torch.tensor([1 - p for p in progress], device=self.device)
        if self.has_control:
            noise.control = self._draw(addresses, "control", sizes, None)
        if self.shuffles_places:
            noise.places = self._draw(addresses, "places", sizes, None)
        return noise

    def prediction_noise(self, purpose: str, n_clips: int) -> Noise:
        """No dropout and no gate noise; the controls' numbers, the same at every call."""
        addresses = {(one.model.seed, one.model.fold): None for one in self.replicas}
        position = {address: index for index, address in enumerate(addresses)}
        of = [position[one.model.seed, one.model.fold] for one in self.replicas]
        noise = Noise(torch.tensor(of, device=self.device))
        shape = (len(self.shape.dims), n_clips)

        def draw(what: str) -> Tensor:
            drawn = [uniforms(seed, fold, f"{what}/{purpose}", 0, shape) for seed, fold in addresses]
            return torch.from_numpy(np.stack(drawn)).to(self.device)

        if self.has_control:
            noise.control = draw("control")
        if self.shuffles_places:
            noise.places = draw("places")
        return noise

    def _dropout(self, drawn: Tensor, address: Sequence[int]) -> Dropout:
        """Masks from the numbers [address, encoder, clip, latent], one for each of address, encoder and rate."""
        pattern = tuple(address)
        if pattern not in self._masks:
            n_slots = max(len(slots) for slots in self.model.slots)
            rows: dict[tuple[int, float], int] = {}
            taken = []
            for of, one, slots in zip(address, self.replicas, self.model.slots, strict=True):
                filled = [*slots, *[slots[0]] * (n_slots - len(slots))]
                keys = [(of * drawn.shape[1] + encoder, one.model.dropout) for encoder in filled]
                taken.append([rows.setdefault(key, len(rows)) for key in keys])
            columns = ([at for at, _ in rows], [rate for _, rate in rows], taken)
            of_rows, of_rates, of_slots = (torch.tensor(column, device=self.device) for column in columns)
            self._masks = {pattern: (of_rows, of_rates, of_slots)}
        source, rate, mask = self._masks[pattern]
        return Dropout(dropout_factors(drawn.flatten(0, 1).index_select(0, source), rate), mask)

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
        partner = torch.from_numpy(np.stack(partners)).to(self.device)[torch.tensor(address, device=self.device)]
        return Mixing(partner, torch.from_numpy(share.astype(np.float32)).to(self.device))

    def _draw(
        self, addresses: dict[tuple[int, int, int], int], purpose: str, sizes: list[int], width: int | None
    ) -> Tensor:
        """[address, encoder, clip] uniforms, or [address, encoder, clip, width] int16; supervised clips and drawn
        clips have streams of their own, so that adaptation never shifts the former's numbers."""
        n_encoders = len(self.shape.dims)
        drawn = []
        for seed, fold, count in addresses:
            parts: list[NDArray[Any]] = []
            for part, size in enumerate(sizes):
                name = purpose if part == 0 else f"{purpose}/domains"
                if width is None:
                    parts.append(uniforms(seed, fold, name, count, (n_encoders, size)))
                else:
                    shape = (n_encoders, size, width)
                    raw = stream(seed, fold, name, count).bytes(2 * int(np.prod(shape)))
                    parts.append(np.frombuffer(raw, np.int16).reshape(shape))
            drawn.append(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))
        return torch.from_numpy(np.stack(drawn)).to(self.device)
