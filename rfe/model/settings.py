"""One replica's scalars, and their tensors for a whole stack; torch comes with the latter only."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor


AGREEMENT_STATISTICS = 5
"""What a gate sees of each encoder's prediction; see `rfe.model.auxiliary`."""
AGREEMENT_WIDTH = 16
"""Hidden units of the network that turns them into a term of the score."""

RATIO_WIDTH = 16
"""Hidden units of the head for a pair's ratio; see `rfe.model.pair_heads`."""


@dataclass(frozen=True)
class ReplicaSettings:
    """What distinguishes one replica of a stack from another; nothing here changes a tensor's shape."""

    seed: int
    fold: int
    """The held-out fold; with `seed`, the address of every random number."""
    pool: tuple[int, ...]
    """Encoders the replica may use, by index in the data set, ascending."""
    dropout: float = 0.2
    encoder_dropout: float = 0.0
    """Share of a clip's encoders that are hidden in training."""
    mixup: float = 0.0
    """alpha of the Beta distribution that fused features are mixed with in training; 0: they are not."""
    sees_clip: bool = True
    """False: the gate's score depends on the encoder only (static)."""
    sees_predictions: bool = False
    """The gate's score depends on how the encoders' predictions agree; needs `auxiliary`."""
    auxiliary: bool = False
    """Each encoder predicts the set by a separate head."""
    residual: bool = False
    """The encoders' own logits are added to the fused ones; needs `auxiliary`."""
    uniform: bool = False
    """All available encoders score alike."""
    shuffled: bool = False
    """Control: each clip gets another clip's scores."""
    random_scores: bool = False
    """Control: scores are noise, so the top n are random."""
    temperature: float = 1.0
    gate_noise: float = 0.0
    straight_through: bool = True
    n_kept: int = 1
    rank_concat: bool = False
    shuffled_places: bool = False
    """Control: the kept encoders' places are permuted at random, clip by clip."""
    rank_embedding: bool = False
    late: bool = True
    """Encoders' vectors are fused."""
    early: bool = False
    """Encoders' projections are fused, before the nonlinearity; with `late`, their vector is one more entry."""
    geometric: bool = False
    presence_weight: float = 0.5
    by_states: bool = False
    pair_logits: bool = False
    """Pairs, where the task has any, have a logit of their own beside their classes'."""
    blend_logit: bool = False
    """A separate logit decides whether a clip is a blend; needs `by_states`, and a task in which it is a question."""
    pair_ratio: bool = False
    """Each pair's ratio has a separate logit beside the salience logits; for tasks whose blends have ratios."""
    tells_domains: bool = False
    """Has a discriminator of source and target."""
    n_actors: int = 0
    """Classes of the actor discriminator; 0 without one."""


NO_TENSORS = (
    "seed",
    "fold",
    "pool",
    "mixup",
    "sees_predictions",
    "auxiliary",
    "rank_concat",
    "rank_embedding",
    "late",
    "early",
    "pair_logits",
    "blend_logit",
    "pair_ratio",
    "tells_domains",
    "n_actors",
)
"""Fields that no tensor is made of: they decide which parameters and operations a stack has, not what these compute."""


class SettingTensors:
    """The same fields as tensors with a leading replica axis.

    A switch that no replica turns on is None: avoids a device synchronisation.
    """

    dropout: Tensor
    encoder_dropout: Tensor
    sees_clip: Tensor | None
    residual: Tensor | None
    uniform: Tensor | None
    shuffled: Tensor | None
    random_scores: Tensor | None
    temperature: Tensor
    gate_noise: Tensor
    straight_through: Tensor | None
    n_kept: Tensor
    shuffled_places: Tensor | None
    geometric: Tensor | None
    presence_weight: Tensor
    by_states: Tensor | None

    def __init__(self, settings: list[ReplicaSettings], device: torch.device) -> None:
        import torch

        self.settings = settings
        for field in fields(ReplicaSettings):
            if field.name in NO_TENSORS:
                continue
            values: list[Any] = [getattr(one, field.name) for one in settings]
            unturned = isinstance(field.default, bool) and all(value is field.default for value in values)
            setattr(self, field.name, None if unturned else torch.tensor(values, device=device))
        self.temperature = self.temperature.float()
        self.dropout = self.dropout.float()
        self.encoder_dropout = self.encoder_dropout.float()
        self.gate_noise = self.gate_noise.float()
        self.presence_weight = self.presence_weight.float()
