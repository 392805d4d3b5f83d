"""What every discrepancy between domains must satisfy, and gradient reversal."""

from collections.abc import Callable

import pytest
import torch

from rfe.adaptation.coral import coral
from rfe.adaptation.gradient_reversal import domain_loss, reversal_coefficient, reverse_gradient
from rfe.adaptation.mmd import mmd

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[coral, mmd], ids=["coral", "mmd"])
def loss(request: pytest.FixtureRequest) -> Loss:
    chosen: Loss = request.param
    return chosen


def test_zero_for_equal_samples_and_growing_with_shift_and_scale(loss: Loss) -> None:
    source = _normal(1, 200, 8)
    assert loss(source, source).abs().max() < 1e-5
    shifts = [loss(source, source + by).item() for by in (0.5, 1.0, 2.0)]
    assert 0 < shifts[0] < shifts[1] < shifts[2]
    assert loss(source, 2 * source).item() > 1e-3


def test_each_replica_has_its_own(loss: Loss) -> None:
    source, target = _normal(3, 100, 8), _normal(3, 100, 8, seed=1)
    together = loss(source, target)
    for replica in range(3):
        torch.testing.assert_close(loss(source[[replica]], target[[replica]])[0], together[replica])


def test_a_gradient_step_brings_the_domains_together(loss: Loss) -> None:
    source = _normal(1, 100, 4)
    target = (_normal(1, 100, 4, seed=1) * 1.5 + 1.0).requires_grad_(True)
    before = loss(source, target)
    (gradient,) = torch.autograd.grad(before.sum(), target)
    assert loss(source, target - 5.0 * gradient).item() < before.item()


def test_coral_by_hand() -> None:
    source = torch.tensor([[[1.0], [3.0]]])  # mean 2, variance 2
    target = torch.tensor([[[0.0], [0.0]]])
    torch.testing.assert_close(coral(source, target), torch.tensor([2.0**2 / 4 + 2.0**2]))


def test_gradient_is_reversed_and_scaled_per_replica() -> None:
    values = torch.ones(2, 3, requires_grad=True)
    (reverse_gradient(values, torch.tensor([0.5, 2.0])) * 3.0).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, torch.tensor([[-1.5] * 3, [-6.0] * 3]))


def test_reversal_rises_from_zero_to_one() -> None:
    assert reversal_coefficient(0.0) == 0.0
    assert 0.98 < reversal_coefficient(0.5) < 1.0


def test_unknown_actors_do_not_count() -> None:
    logits = torch.tensor([[[5.0, 0.0], [5.0, 0.0], [0.0, 9.0]]])
    each, right = domain_loss(logits, torch.tensor([[0, -1, 0]]))
    only, _ = domain_loss(logits[:, [0, 2]], torch.tensor([[0, 0]]))
    torch.testing.assert_close(each, only)
    torch.testing.assert_close(right, torch.tensor([0.5]))
