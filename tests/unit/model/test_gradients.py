"""The operations whose way back is written by hand, against the equations they stand for and against differences."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rfe.adaptation.mmd import MULTIPLES, mmd
from rfe.model import blocks
from rfe.model.fusion import concat_by_rank, sum_weighted
from rfe.model.gate import score_encoders
from rfe.model.projection import Dropout, activate, dropout_factors

R, S, C, H = 3, 4, 5, 6
GENERATOR = torch.Generator().manual_seed(11)


def _draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64).requires_grad_()


LATENT, GAIN, SHIFT = _draw(R, S, C, H), _draw(R, S, H), _draw(R, S, H)
QUERY, OF_LATENT, OF_CONTEXT, EMBEDDING = _draw(R, H), _draw(R, H, H), _draw(R, H, H), _draw(R, S, H)
WEIGHTS = _draw(R, S, C)
AVAILABLE = torch.ones(R, S, C, dtype=torch.bool)
AVAILABLE[0, 1, :3] = False
AVAILABLE[2, :, 4] = False  # a clip of which nothing is there
SEES = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
TEMPERATURE = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
KEPT_WEIGHTS = torch.tensor([0.0, 0.7, 0.0, 0.3], dtype=torch.float64).view(1, S, 1).expand(R, S, C).clone()
KEPT_WEIGHTS[1, 3] = 0.0  # fewer are there than are kept: the last place is empty
PLACE = torch.tensor([1, 0, 1, 1]).view(1, S, 1).expand(R, S, C)
PLACE_WEIGHT, BIAS = _draw(R, 2, H, H), _draw(R, H)
SOURCE, TARGET = _draw(R, 9, H), _draw(R, 8, H)
NOISE = torch.randint(-32768, 32768, (2 * S, C, H), generator=GENERATOR)
ROW = torch.tensor([0, 1, 0]).unsqueeze(1) * S + torch.arange(S)
RATE = torch.tensor([0.0, 0.3, 0.6], dtype=torch.float64)


@pytest.fixture(autouse=True, params=["one block", "a block for each replica"])
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "CACHED_NUMBERS", S * C * H * (R if request.param == "one block" else 1))


def _activated(*parts: Tensor) -> Tensor:
    factors = dropout_factors(NOISE[ROW.flatten()], RATE.repeat_interleave(S))
    return activate(*parts, Dropout(factors, torch.arange(R * S).view(R, S)))


def _activated_by_torch(latent: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    values = functional.gelu(functional.layer_norm(latent, (H,)) * gain.unsqueeze(2) + shift.unsqueeze(2))
    lowest = (RATE * 65536).round() - 32768
    kept = NOISE[ROW.flatten()].view(R, S, C, H) >= lowest.view(-1, 1, 1, 1)
    return values * kept / (1 - RATE).view(-1, 1, 1, 1)


def _scored(*parts: Tensor) -> Tensor:
    scores = score_encoders(parts[0], AVAILABLE, *parts[1:], SEES, TEMPERATURE)
    return scores.masked_fill(~AVAILABLE, 0.0)


def _scored_by_torch(latent: Tensor, query: Tensor, of_latent: Tensor, of_context: Tensor, embedding: Tensor) -> Tensor:
    present = AVAILABLE.double().unsqueeze(-1)
    context = (latent * present).sum(1) / present.sum(1).clamp(min=1)
    seen = torch.einsum("rsch,rhk->rsck", latent, of_latent) + torch.einsum(
        "rch,rhk->rck", context, of_context
    ).unsqueeze(1)
    hidden = torch.tanh(seen * SEES.view(-1, 1, 1, 1) + embedding.unsqueeze(2))
    scores = torch.einsum("rsch,rh->rsc", hidden, query) / TEMPERATURE.view(-1, 1, 1)
    return scores.masked_fill(~AVAILABLE, 0.0)


def _summed_by_torch(latent: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("rsch,rsc->rch", latent, weights)


def _joined(*parts: Tensor) -> Tensor:
    weights = KEPT_WEIGHTS + parts[1] - parts[1].detach()  # in value 0 for those not kept, not in gradient
    return concat_by_rank(parts[0], weights, PLACE, *parts[2:])


def _joined_by_torch(latent: Tensor, weights: Tensor, place_weight: Tensor, bias: Tensor) -> Tensor:
    weights = KEPT_WEIGHTS + weights - weights.detach()
    in_place = functional.one_hot(PLACE, place_weight.shape[1]).double()  # [replica, slot, clip, place]
    return torch.einsum("rsch,rsc,rscp,rphk->rck", latent, weights, in_place, place_weight) + bias.unsqueeze(1)


def _discrepancy_by_torch(source: Tensor, target: Tensor) -> Tensor:
    both = torch.cat([source, target], 1)
    distance = (both.unsqueeze(1) - both.unsqueeze(2)).square().sum(-1)
    median = distance[:, ::4, ::4].flatten(1).median(1).values.detach().view(-1, 1, 1)
    kernel = sum(torch.exp(-distance / (multiple * median)) for multiple in MULTIPLES)
    n = source.shape[1]
    within = kernel[:, :n, :n].mean((1, 2)) + kernel[:, n:, n:].mean((1, 2))
    return within - 2 * kernel[:, :n, n:].mean((1, 2))


CASES = {
    "rank concat": (_joined, _joined_by_torch, (LATENT, WEIGHTS, PLACE_WEIGHT, BIAS)),
    "mmd": (mmd, _discrepancy_by_torch, (SOURCE, TARGET)),
    "activation": (_activated, _activated_by_torch, (LATENT, GAIN, SHIFT)),
    "gate": (_scored, _scored_by_torch, (LATENT, QUERY, OF_LATENT, OF_CONTEXT, EMBEDDING)),
    "weighted sum": (sum_weighted, _summed_by_torch, (LATENT, WEIGHTS)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_the_equation(name: str) -> None:
    ours, by_torch, parts = CASES[name]
    values, expected = ours(*parts), by_torch(*parts)
    torch.testing.assert_close(values, expected.to(values.dtype), atol=1e-6, rtol=1e-6)
    incoming = torch.randn(values.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    mine = torch.autograd.grad(values, parts, incoming.to(values.dtype))
    theirs = torch.autograd.grad(expected, parts, incoming)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("operation", "parts"), [(_activated, (LATENT, GAIN, SHIFT)), (sum_weighted, (LATENT, WEIGHTS))]
)
def test_gradients_agree_with_differences(operation: Callable[..., Tensor], parts: tuple[Tensor, ...]) -> None:
    assert torch.autograd.gradcheck(operation, parts)


def test_every_replica_is_in_one_block() -> None:
    found = [index for block in blocks.blocks(LATENT) for index in range(block.start, block.stop)]
    assert found == list(range(R))
