"""Adam for a stack: one fused call for all replicas, each with its own rate, decay, step count and clipping."""

import torch
from torch import Tensor
from torch.optim.adam import adam

from rfe.model.parameters import StackedParameter
from rfe.training.settings import TrainTensors

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
_NEVER = 1e9
"""A step count at which the fused kernel's own bias correction is 1; ours is per replica."""


class StackedAdam:
    """Adam and AdamW over parameters with a replica axis.

    The fused kernel computes the direction m / (sqrt(v) + eps) once for the whole stack; each replica's rate carries
    its bias correction, alpha_t = lr sqrt(1 - beta2^t) / (1 - beta1^t), so replicas may be at different steps.

    Source: Kingma & Ba, arXiv 1412.6980, section 2 (the efficient form); decoupled decay: arXiv 1711.05101.
    """

    def __init__(self, parameters: dict[str, StackedParameter]) -> None:
        self.first = {name: torch.zeros_like(p.value.detach()) for name, p in parameters.items()}
        self.second = {name: torch.zeros_like(p.value.detach()) for name, p in parameters.items()}

    def take(self, kept: Tensor, parameters: dict[str, StackedParameter]) -> None:
        """Go on with some replicas; `parameters` are those before `StackedModel.take`."""
        for state in (self.first, self.second):
            for name, parameter in parameters.items():
                mine = kept[parameter.holders]
                if bool(mine.any()):
                    state[name] = state[name][mine].clone()
                else:
                    del state[name]

    @torch.no_grad()
    def step(
        self,
        parameters: dict[str, StackedParameter],
        gradients: dict[str, Tensor],
        settings: TrainTensors,
        step: Tensor,
        rate_factor: Tensor,
    ) -> None:
        """One update in place.

        Args:
            parameters: name -> parameter.
            gradients: name -> [holder, ...], same keys; overwritten.
            settings: the stack's training settings.
            step: [replica] number of the update, from 1.
            rate_factor: [replica] the schedule's factor of the learning rate.
        """
        names = list(gradients)
        self._clip(parameters, gradients, settings.clip_norm)
        rate = settings.lr * rate_factor  # [replica]
        if not bool(settings.decoupled.all()):
            coupled = torch.where(settings.decoupled, 0.0, settings.weight_decay)
            for name in names:
                gradients[name].addcmul_(parameters[name].value, _shaped(coupled, parameters[name]))
        directions = [torch.zeros_like(gradients[name]) for name in names]
        adam(
            directions,
            [gradients[name] for name in names],
            [self.first[name] for name in names],
            [self.second[name] for name in names],
            [],
            [torch.tensor(_NEVER, device=d.device) for d in directions],
            fused=True,
            amsgrad=False,
            beta1=BETA1,
            beta2=BETA2,
            lr=1.0,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
        count = step.to(torch.float64)
        corrected = (rate.double() * torch.sqrt(1 - BETA2**count) / (1 - BETA1**count)).float()
        shrink = torch.where(settings.decoupled, 1 - rate * settings.weight_decay, 1.0)
        for name, direction in zip(names, directions, strict=True):
            parameter = parameters[name]
            parameter.value.mul_(_shaped(shrink, parameter)).addcmul_(direction, _shaped(corrected, parameter))

    def _clip(self, parameters: dict[str, StackedParameter], gradients: dict[str, Tensor], largest: Tensor) -> None:
        if bool(torch.isinf(largest).all()):
            return
        squares = torch.zeros_like(largest)
        for name, gradient in gradients.items():
            squares.index_add_(0, parameters[name].holders, gradient.flatten(1).square().sum(1))
        scale = (largest / (squares.sqrt() + 1e-6)).clamp(max=1.0)
        for name, gradient in gradients.items():
            gradient.mul_(_shaped(scale, parameters[name]))


def _shaped(per_replica: Tensor, parameter: StackedParameter) -> Tensor:
    """[replica] -> [holder, 1, ...] to go with the parameter's value."""
    mine = per_replica if parameter.everyone else per_replica[parameter.holders]
    return mine.view(-1, *[1] * (parameter.value.dim() - 1))
