"""How one replica is trained: plain scalars, and their tensors for a whole stack; torch comes with the latter only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class TrainSettings:
    """What distinguishes one replica's training from another's; nothing here changes a tensor's shape."""

    data_seed: int = 0
    epochs: int = 20
    lr: float = 1e-3
    weight_decay: float = 1e-2
    decoupled: bool = True
    """True: AdamW; False: the decay is added to the gradient (L2)."""
    cosine: bool = True
    clip_norm: float = math.inf
    ema_decay: float = 0.0
    """Decay of the running average of the weights; 0 uses the weights themselves."""
    lambda_presence: float = 1.0
    lambda_salience: float = 1.0
    lambda_fused: float = 1.0
    lambda_auxiliary: float = 0.0
    lambda_ratio: float = 0.0
    label_smoothing: float = 0.0
    balance_weight: float = 0.0
    class_balance: str = "none"
    adaptation: str = "none"
    adaptation_strength: float = 0.0
    actors_as_domains: bool = False
    target: str = "validation"
    n_drawn: int = 0
    """Clips drawn from each domain per step; 0 without adaptation by source and target."""
    training_actors: int = 0
    """How many of the fold's training actors are used; 0: all."""


OPTIONAL = ("lambda_auxiliary", "lambda_ratio", "clip_norm", "ema_decay", "label_smoothing", "balance_weight")
"""Fields whose default is not to use them."""


class TrainTensors:
    """The scalars that enter a step, as tensors with a leading replica axis.

    What no replica uses is None: avoids a device synchronisation.
    """

    lambda_presence: Tensor
    lambda_salience: Tensor
    lambda_fused: Tensor
    lambda_auxiliary: Tensor | None
    lambda_ratio: Tensor | None
    adaptation_strength: Tensor
    clip_norm: Tensor | None
    ema_decay: Tensor | None
    label_smoothing: Tensor | None
    balance_weight: Tensor | None

    def __init__(self, settings: list[TrainSettings], device: torch.device) -> None:
        import torch

        self.settings = settings
        for name in TrainTensors.__annotations__:
            values = [getattr(one, name) for one in settings]
            unused = name in OPTIONAL and all(value == getattr(TrainSettings, name) for value in values)
            setattr(self, name, None if unused else torch.tensor(values, device=device))
