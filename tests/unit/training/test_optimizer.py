"""The stack's Adam beside PyTorch's own."""

import math

import pytest
import torch

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.model.parameters import StackedParameter
from rfe.training.build import scaled_rate
from rfe.training.optimizer import StackedAdam, find_runs
from rfe.training.settings import TrainSettings

N_STEPS = 3


@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("decoupled", [False, True])
def test_each_replica_is_updated_as_by_an_optimiser_of_its_own(decoupled: bool, strided: bool) -> None:
    settings = [
        TrainSettings(lr=rate, weight_decay=0.1, decoupled=decoupled, cosine=False, clip_norm=norm)
        for rate, norm in ((0.1, math.inf), (0.1, 1.0), (0.02, math.inf))
    ]
    draw = torch.Generator().manual_seed(0)
    start = {"all": torch.randn(3, 4, 6, generator=draw), "some": torch.randn(2, 5, generator=draw)}
    holders = {"all": [0, 1, 2], "some": [0, 2]}
    gradients = [{name: torch.randn(value.shape, generator=draw) for name, value in start.items()} for _ in range(2)]
    stacked = {name: StackedParameter(value.clone(), holders[name], len(value) == 3) for name, value in start.items()}
    stack = StackedAdam(stacked)
    for step, gradient in enumerate(gradients):
        given = {name: _strided(one) if strided else one.clone() for name, one in gradient.items()}
        clip_norm = torch.tensor([one.clip_norm for one in settings])
        stack.step(stacked, given, clip_norm, find_runs(settings, [0] * 3), N_STEPS, step)
    for replica, one in enumerate(settings):
        own = {
            name: torch.nn.Parameter(value[holders[name].index(replica)].clone())
            for name, value in start.items()
            if replica in holders[name]
        }
        kind = torch.optim.AdamW if decoupled else torch.optim.Adam
        optimizer = kind(own.values(), lr=one.lr, weight_decay=one.weight_decay)
        for gradient in gradients:
            for name, value in own.items():
                value.grad = gradient[name][holders[name].index(replica)].clone()
            if math.isfinite(one.clip_norm):
                torch.nn.utils.clip_grad_norm_(own.values(), one.clip_norm)
            optimizer.step()
        for name, value in own.items():
            torch.testing.assert_close(stacked[name].value[holders[name].index(replica)], value.detach())


@pytest.mark.parametrize(("scaling", "rate"), [("none", 0.002), ("sqrt", 0.004), ("linear", 0.008)])
def test_the_rate_of_large_batches(scaling: str, rate: float) -> None:
    changes = {"train.lr": 0.002, "train.batch_size": 256, "train.lr_scaling": scaling}
    assert scaled_rate(change_config(Config(), changes).train) == pytest.approx(rate)
    one = change_config(Config(), changes | {"train.batch_size": 64})
    assert scaled_rate(one.train) == pytest.approx(0.002)


def _strided(values: torch.Tensor) -> torch.Tensor:
    """The same numbers as part of a wider tensor, as the gradient of one of several weights put side by side."""
    return torch.cat([values, values + 1], -1)[..., : values.shape[-1]]
