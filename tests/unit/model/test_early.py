"""Early fusion against the concatenation network in plain torch, and its entry beside the late vectors."""

from typing import Any

import torch
from torch import Tensor, nn

from rfe.model.early import share_of_entry
from rfe.model.stack import ModelOutput
from rfe.training.engine import Stack
from tests.unit.training.stacks import DIMS, NAMES, make_replica, make_stack

CLIPS = torch.arange(40).view(1, -1)
WHOLE = CLIPS[0] != 3
"""Clips with every encoder; clip 3 lacks the second."""
CONCATENATED = {"early": True, "late": False, "uniform": True, "n_kept": 3}


def _forward(stack: Stack) -> tuple[dict[int, Tensor], ModelOutput]:
    features, available = stack.inputs.gather(CLIPS, stack.inputs.rows([0]))
    return features, stack.model(features, available, stack.inputs.prediction_noise("held out", CLIPS.shape[1]))


def _stack(**model: Any) -> Stack:
    stack = make_stack([make_replica(model=model)])
    stack.train_epoch()  # biases, gains and shifts that are not those of the start
    return stack


class ConcatenationNetwork(nn.Module):
    """One linear layer on all features, LayerNorm, GELU, two heads."""

    def __init__(self, value: dict[str, Tensor], encoders: tuple[str, ...]) -> None:
        super().__init__()
        weight = torch.cat([value[f"projection.{name}.weight"][0] for name in encoders])
        self.layer, self.norm = nn.Linear(len(weight), 16), nn.LayerNorm(16)
        self.heads = nn.ModuleDict({head: nn.Linear(16, 6) for head in ("presence", "salience")})
        with torch.no_grad():
            self.layer.weight.copy_(weight.T)
            self.layer.bias.copy_(sum(value[f"projection.{name}.bias"][0] for name in encoders))
            self.norm.weight.copy_(value["early.gain"][0])
            self.norm.bias.copy_(value["early.shift"][0])
            for head, layer in self.heads.items():
                layer.weight.copy_(value[f"{head}.weight"][0].T)
                layer.bias.copy_(value[f"{head}.bias"][0])

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        hidden = nn.functional.gelu(self.norm(self.layer(features)))
        return {head: layer(hidden) for head, layer in self.heads.items()}


def test_with_a_uniform_gate_it_is_the_concatenation_network() -> None:
    """Fails on a model whose encoders meet behind their nonlinearities only."""
    stack = _stack(**CONCATENATED)
    features, output = _forward(stack)
    network = ConcatenationNetwork(stack.model.values(), NAMES)
    expected = network(torch.cat([features[encoder][0] for encoder in range(3)], -1))
    torch.testing.assert_close(output.presence_logits[0, WHOLE], expected["presence"][WHOLE])
    torch.testing.assert_close(output.salience_logits[0, WHOLE], expected["salience"][WHOLE])
    ours = torch.autograd.grad(
        output.presence_logits[0, WHOLE].square().sum(),
        [stack.model.parameters[f"projection.{name}.weight"].value for name in NAMES],
    )
    (theirs,) = torch.autograd.grad(expected["presence"][WHOLE].square().sum(), [network.layer.weight])
    torch.testing.assert_close(torch.cat([one[0] for one in ours]), theirs.T, atol=1e-4, rtol=1e-4)


def test_an_encoder_that_is_missing_has_no_part_in_it() -> None:
    stack = _stack(**CONCATENATED)
    features, output = _forward(stack)
    network = ConcatenationNetwork(stack.model.values(), ("face", "body"))
    expected = network(torch.cat([features[0][0], features[2][0]], -1))
    torch.testing.assert_close(output.presence_logits[0, 3], expected["presence"][3])


def test_its_layer_starts_in_the_range_of_a_layer_on_all_features() -> None:
    stack = make_stack([make_replica(model=CONCATENATED), make_replica(1)])
    for name, dim in zip(NAMES, DIMS, strict=True):
        early, late = stack.model.values()[f"projection.{name}.weight"]
        torch.testing.assert_close(early, late * (dim / sum(DIMS)) ** 0.5)
        assert early.abs().max() <= sum(DIMS) ** -0.5


def test_the_gate_still_weighs_and_selects() -> None:
    stack = _stack(early=True, late=False, n_kept=1)
    features, output = _forward(stack)
    assert output.selection is not None
    value, chosen = stack.model.values(), output.scores[0].argmax(0)  # [clip]
    for clip in (0, 7, 20):
        name = NAMES[chosen[clip]]
        projected = features[int(chosen[clip])][0, clip] @ value[f"projection.{name}.weight"][0]
        projected = 3.0 * (projected + value[f"projection.{name}.bias"][0])  # as much as all three together
        normed = nn.functional.layer_norm(projected, (16,), value["early.gain"][0], value["early.shift"][0])
        torch.testing.assert_close(output.fused_feature[0, clip], nn.functional.gelu(normed))
    assert len(set(chosen.tolist())) > 1


def test_both_stages_are_a_softmax_over_one_entry_more() -> None:
    parts = {"uniform": True, "n_kept": 3}
    both = make_stack([make_replica(model={"early": True, **parts})])
    early = make_stack([make_replica(model={"early": True, "late": False, **parts})])
    _, joint = _forward(both)
    _, alone = _forward(early)
    summed = joint.fused_feature - 0.25 * alone.fused_feature  # three encoders and the early vector weigh alike
    late = make_stack([make_replica(model=parts)])
    for name in NAMES:
        late.model.values()[f"projection.{name}.weight"].data.copy_(both.model.values()[f"projection.{name}.weight"])
    _, mean = _forward(late)
    torch.testing.assert_close(summed[0, WHOLE], 0.75 * mean.fused_feature[0, WHOLE])


def test_the_share_of_an_entry_by_hand() -> None:
    scores = torch.tensor([[1.0, float("-inf")], [2.0, float("-inf")]]).unsqueeze(0)  # [replica, slot, clip]
    entry = torch.tensor([[0.5, 0.5]], requires_grad=True)
    share = share_of_entry(entry, scores)
    torch.testing.assert_close(share[0, 0], torch.softmax(torch.tensor([0.5, 1.0, 2.0]), 0)[0])
    (gradient,) = torch.autograd.grad(share.sum(), entry)
    assert torch.isfinite(gradient).all()


def test_a_clip_that_nothing_is_known_of_is_answered_by_the_biases() -> None:
    for model in ({"early": True, "late": False}, {"early": True}):
        stack = _stack(**model)
        stack.inputs.source.available[:, 5] = False
        _, output = _forward(stack)
        assert (output.fused_feature[0, 5] == 0).all()
        torch.testing.assert_close(output.presence_logits[0, 5], stack.model.values()["presence.bias"][0])
