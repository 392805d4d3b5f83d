"""The base of stacked models: parameters with a replica axis, of which a subset of replicas can be kept."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rfe.model.heads import SetTensors
from rfe.model.parameters import StackedParameter, initialise
from rfe.model.projection import Dropout
from rfe.model.selection import KeptEncoders
from rfe.model.settings import ReplicaSettings, SettingTensors
from rfe.task import Task


@dataclass
class Noise:
    """The step's random numbers: drawn once per address (seed and fold), shared by all replicas that have it."""

    address: Tensor
    """[replica] index into the tables below."""
    dropout: Dropout | None = None
    """None in evaluation, and where no replica drops any."""
    hidden: Tensor | None = None
    """[address, encoder of the data set, clip] uniforms for encoder dropout; None where no replica uses it."""
    mixing: "Mixing | None" = None
    """None in evaluation, and where no replica mixes."""
    gate: Tensor | None = None
    """[address, encoder of the data set, clip] uniforms for Gumbel noise; None where no replica uses it."""
    anneal: Tensor | float = 1.0
    """[replica] factor of the gate noise, falling to 0 over training."""
    control: Tensor | None = None
    """[address, encoder of the data set, clip] uniforms for the control gates; None where no replica has one."""
    places: Tensor | None = None
    """[address, encoder of the data set, clip] uniforms that permute places; None where no replica's are."""


@dataclass
class Mixing:
    """Mixup: clip i counts for `share`, its partner for the rest (Zhang et al., ICLR 2018; here on fused features, as
    in Verma et al., ICML 2019)."""

    partner: Tensor
    """[replica, clip] int, over the supervised clips."""
    share: Tensor
    """[replica], 1 for replicas that do not mix."""

    def mix(self, values: Tensor) -> Tensor:
        """[replica, clip, ...] values mixed with their partners'; clips behind the supervised ones stay as they are."""
        n_clips = self.partner.shape[1]
        shape = (-1, *[1] * (values.dim() - 1))
        own = values[:, :n_clips].float()
        index = self.partner.view(*self.partner.shape, *[1] * (values.dim() - 2)).expand_as(own)
        mixed = torch.lerp(own.gather(1, index), own, self.share.view(shape))
        return mixed if n_clips == values.shape[1] else torch.cat([mixed, values[:, n_clips:]], 1)


@dataclass
class ModelOutput:
    """The outputs of a stack. With members, heads' outputs are of clips x members."""

    presence_logits: Tensor
    """l, [replica, clip, class]."""
    salience_logits: Tensor
    """g, [replica, clip, class]."""
    log_salience: Tensor
    """log s, [replica, clip, class]: the salience logits' log-softmax."""
    log_fused: Tensor
    """log q, [replica, clip, class]."""
    fused_feature: Tensor
    """f, [replica, clip, latent]; the members' mean."""
    scores: Tensor
    """[replica, slot, clip] gate scores, -inf where not available."""
    selection: KeptEncoders | None
    """None for a model without a gate."""
    pair_logits: Tensor | None = None
    """m, [replica, clip, pair], added to the pairs' logits; 0 for replicas without; None where no replica has them."""
    log_auxiliary: Tensor | None = None
    """log pi, [replica, slot, clip, set], each encoder's own prediction; 0 for replicas without; None where no replica
    has them."""
    leanings: Tensor | None = None
    """delta, [replica, clip, pair], added to the difference of a pair's salience logits; 0 for replicas without; None
    where no replica has them."""


class StackedModel(ABC):
    """A stack of models of one tensor shape.

    Args:
        task: whose classes the heads have a logit for.
        settings: one entry per replica.
        dims: width of each encoder's features, by index in the data set.
        names: encoders' names in the same order, for parameter names.
        latent_dim: H.
        device: where parameters live.
        n_members: k of every replica; see `rfe.model.members`.
    """

    def __init__(
        self,
        task: Task,
        settings: list[ReplicaSettings],
        dims: tuple[int, ...],
        names: tuple[str, ...],
        latent_dim: int,
        device: torch.device,
        n_members: int = 1,
    ) -> None:
        self.dims, self.names, self.latent_dim, self.device = dims, names, latent_dim, device
        self.n_members = n_members
        self.task, self.sets = task, SetTensors.of(task, device)
        self.parameters: dict[str, StackedParameter] = {}
        self._settle(settings)
        self._add_parameters()

    @abstractmethod
    def _add_parameters(self) -> None:
        """Create all parameters of all replicas."""

    @abstractmethod
    def __call__(
        self,
        features: dict[int, Tensor],
        available: Tensor,
        noise: Noise,
        values: dict[str, Tensor] | None = None,
    ) -> ModelOutput:
        """Forward pass.

        Args:
            features: encoder index -> [holder, clip, dim], for each encoder that any pool holds.
            available: [replica, encoder of the data set, clip] bool.
            noise: the step's random numbers; without dropout and gate noise in evaluation.
            values: parameter values to use instead of the model's own (averaged weights).
        """

    def average(self, output: ModelOutput) -> ModelOutput:
        """One answer for each clip, from an output that has one for each clip and member."""
        return output

    def _settle(self, settings: list[ReplicaSettings]) -> None:
        """Everything that follows from which replicas are in the stack."""
        self.settings = settings
        self.slots: list[tuple[int, ...]] = [one.pool for one in settings]
        """[replica] encoders whose random numbers its vectors get, one each."""
        self.scalars = SettingTensors(settings, self.device)

    def _add(self, name: str, shape: tuple[int, ...], kind: str, holders: list[int]) -> None:
        """Create one parameter for its holders (indices of replicas); nothing where there are none."""
        if holders:
            addresses = [(self.settings[r].seed, self.settings[r].fold) for r in holders]
            value = initialise(name, shape, kind, addresses, self.device).requires_grad_(True)
            self.parameters[name] = StackedParameter(value, holders, len(holders) == len(self.settings))

    def _add_projection(self, encoder: int, concatenated: Sequence[int]) -> list[int]:
        """Create an encoder's projection; returns its holders.

        `concatenated` are the replicas whose projections together are one layer on concatenated features: they start
        with that layer's range, whose fan in is the sum of the pool's widths.
        """
        name = f"projection.{self.names[encoder]}.weight"
        holders = [r for r in range(len(self.settings)) if encoder in self.settings[r].pool]
        self._add(name, (self.dims[encoder], self.latent_dim), "linear", holders)
        for row, replica in enumerate(holders):
            if replica in concatenated:
                fan_in = sum(self.dims[other] for other in self.settings[replica].pool)
                with torch.no_grad():
                    self.parameters[name].value[row] *= (self.dims[encoder] / fan_in) ** 0.5
        return holders

    def take(self, kept: Sequence[bool]) -> None:
        """Keep only the replicas where `kept` ([replica]) is True."""
        self.parameters = {
            name: parameter.take(kept) for name, parameter in self.parameters.items() if parameter.kept_rows(kept)
        }
        self._settle([one for one, keep in zip(self.settings, kept, strict=True) if keep])

    def holders(self, encoder: int) -> list[int]:
        """[holder] replicas whose pool holds the encoder."""
        parameter = self.parameters.get(f"projection.{self.names[encoder]}.weight")
        return [] if parameter is None else parameter.replicas

    def values(self) -> dict[str, Tensor]:
        """Name -> [holder, ...] leaf tensor."""
        return {name: parameter.value for name, parameter in self.parameters.items()}
