"""Members: one answer from k, each trained by its own loss."""

from typing import Any

import numpy as np
import pytest
import torch

from rfe.model.members import LEAST
from rfe.model.stack import ModelOutput
from rfe.training.engine import Stack
from rfe.training.prediction import predict
from tests.unit.training.stacks import make_replica, make_stack, train

K = 3
KINDS: dict[str, dict[str, Any]] = {
    "bce": {},
    "states": {"by_states": True},
    "sets": {"by_states": True, "pair_logits": True},
    "early": {"by_states": True, "early": True, "late": False},
    "agreement": {"by_states": True, "auxiliary": True, "sees_predictions": True, "residual": True},
}
kinds = pytest.mark.parametrize("model", KINDS.values(), ids=KINDS)


def _stack(model: dict[str, Any], members: int = K) -> Stack:
    return make_stack([make_replica(model=model)], members=members)


def _forward(stack: Stack) -> ModelOutput:
    clips = torch.from_numpy(stack.plan.held_out[0]).view(1, -1)
    with torch.no_grad():
        features, available = stack.inputs.gather(clips, stack.inputs.rows([0]))
        return stack.model(features, available, stack.inputs.prediction_noise("held out", clips.shape[1]))


@kinds
def test_members_with_equal_scales_are_the_model_itself(model: dict[str, Any]) -> None:
    single, several = _stack(model, 1), _stack(model)
    train(single, 2)
    several.restore(0, single.slices(0))
    with torch.no_grad():
        for name in ("projection", "latent", "fused"):
            several.model.values()[f"members.{name}"].fill_(1.0)
    one, other = predict(single), predict(several)
    np.testing.assert_allclose(other.fused, one.fused, atol=1e-5)
    np.testing.assert_array_equal(other.kept, one.kept)
    if not model:
        np.testing.assert_allclose(other.presence_logits[..., :6], one.presence_logits, atol=1e-4)
    else:
        output = _forward(single)
        log_sets = torch.log_softmax(
            single.model.sets.possible_logits(output.presence_logits, output.pair_logits), -1
        ).clamp(min=LEAST)
        np.testing.assert_allclose(other.presence_logits, log_sets, atol=1e-4)


@kinds
def test_probabilities_are_averaged_and_not_logits(model: dict[str, Any]) -> None:
    stack = _stack(model)
    train(stack, 4)
    output, found = _forward(stack), predict(stack)
    fused = output.log_fused[0].exp().view(-1, K, 6)
    np.testing.assert_allclose(found.fused[0], fused.mean(1), atol=1e-6)
    salience = output.log_salience[0].exp().view(-1, K, 6)
    np.testing.assert_allclose(np.exp(found.salience_logits[0]), salience.mean(1), atol=1e-6)
    if not model:
        presence = torch.sigmoid(output.presence_logits[0]).view(-1, K, 6).mean(1)
        np.testing.assert_allclose(1 / (1 + np.exp(-found.presence_logits[0, :, :6])), presence, atol=1e-6)
    else:
        sets = stack.model.sets.possible_logits(output.presence_logits, output.pair_logits)
        presence = torch.softmax(sets[0], -1).view(-1, K, 16).mean(1)
        np.testing.assert_allclose(np.exp(found.presence_logits[0]), presence, atol=1e-6)
    assert (fused.std(1) > 0).all()  # members differ


def test_the_loss_is_the_mean_of_the_members_losses() -> None:
    """A member alone: the same weights with its scales in every place."""
    model = {"dropout": 0.0, "uniform": True}  # members share the gate, which sees them all
    stack, losses = _stack(model), []
    for member in range(K):
        one = _stack(model)
        with torch.no_grad():
            for name in ("projection", "latent", "fused"):
                scale = one.model.values()[f"members.{name}"]
                scale.copy_(scale.select(-2, member).unsqueeze(-2).expand_as(scale).clone())
        losses.append(_loss(one))
    assert len({round(loss, 4) for loss in losses}) == K
    assert _loss(stack) == pytest.approx(np.mean(losses), rel=1e-5)


def _loss(stack: Stack) -> float:
    """Of the first step, before any update counts."""
    stack.plan.n_steps = 1
    return float(stack.train_epoch().loss[0])


def test_members_share_the_start_of_a_single_model_but_for_signs() -> None:
    single, several = _stack({}, 1), _stack({})
    torch.testing.assert_close(single.model.values()["presence.weight"], several.model.values()["presence.weight"])
    signs = several.model.values()["members.projection"]
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
