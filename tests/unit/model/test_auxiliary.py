"""Each encoder's own prediction, what its agreement with the others' says, and a gate that sees it."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from rfe.config.load import load_config
from rfe.data.metadata import Clips
from rfe.errors import ConfigError
from rfe.model.auxiliary import agreement, auxiliary_loss
from rfe.model.stack import ModelOutput
from rfe.task import BLEMORE
from rfe.training.build import FeatureView, StackShape
from rfe.training.engine import Stack
from rfe.training.prediction import predict
from tests.unit.training.stacks import DIMS, NAMES, make_replica, make_stack, train

GENERATOR = torch.Generator().manual_seed(5)
LOG_SETS = torch.log_softmax(2 * torch.randn(1, 3, 8, 16, generator=GENERATOR), -1)
"""[replica, slot, clip, set]"""
AVAILABLE = torch.ones(1, 3, 8, dtype=torch.bool)
AVAILABLE[0, 1, 2] = False
AVAILABLE[0, 1:, 5] = False
TRAINED = {"lambda_auxiliary": 0.5}


def test_agreement_by_hand() -> None:
    own, found = LOG_SETS.exp()[0], agreement(LOG_SETS, AVAILABLE)[0]
    others = (own[1, 0] + own[2, 0]) / 2
    expected = [
        own[0, 0].max(),
        -(own[0, 0] * LOG_SETS[0, 0, 0]).sum() / math.log(16),
        (own[0, 0] * others.log()).sum() / math.log(16),
        (others * (others.log() - LOG_SETS[0, 0, 0])).sum() / math.log(16),
        others[own[0, 0].argmax()],
    ]
    torch.testing.assert_close(found[0, 0], torch.stack(expected))


def test_only_available_encoders_are_the_others() -> None:
    found, own = agreement(LOG_SETS, AVAILABLE)[0], LOG_SETS.exp()[0]
    torch.testing.assert_close(found[0, 2, 4], own[2, 2, own[0, 2].argmax()])  # the second is not there
    torch.testing.assert_close(found[0, 5, 4], own[0, 5].max())  # alone, it agrees with itself
    torch.testing.assert_close(found[0, 5, 3], torch.tensor(0.0), atol=1e-6, rtol=0)
    garbage = LOG_SETS.clone()
    garbage[~AVAILABLE] = torch.log_softmax(torch.arange(16.0), -1)
    torch.testing.assert_close(agreement(garbage, AVAILABLE)[AVAILABLE], agreement(LOG_SETS, AVAILABLE)[AVAILABLE])


def test_statistics_are_bounded_where_predictions_are_certain() -> None:
    certain = torch.log_softmax(1e3 * torch.eye(16)[torch.tensor([[0], [1], [2]])], -1).unsqueeze(0)
    found = agreement(certain, torch.ones(1, 3, 1, dtype=torch.bool))
    assert torch.isfinite(found).all()
    assert found.abs().max() < 6


def test_the_loss_is_a_mean_over_the_available_encoders() -> None:
    target = torch.eye(16)[torch.arange(8)].unsqueeze(0)
    found = auxiliary_loss(LOG_SETS, target, AVAILABLE)[0]
    torch.testing.assert_close(found[0], -LOG_SETS[0, :, 0, 0].mean())
    torch.testing.assert_close(found[2], -LOG_SETS[0, [0, 2], 2, 2].mean())
    assert auxiliary_loss(LOG_SETS, target, torch.zeros_like(AVAILABLE)).abs().sum() == 0


def test_predictions_that_nothing_trains_are_refused() -> None:
    for inputs in ("predictions", "both"):
        with pytest.raises(ConfigError, match=r"model.gate.inputs: .* set loss.lambda_auxiliary above 0"):
            load_config({"model.gate.inputs": inputs})
    for trained in ({"loss.lambda_auxiliary": 0.1}, {"model.fusion.residual": "predictions"}):
        load_config({"model.gate.inputs": "both", **trained})
    load_config({"model.gate.inputs": "both", "model.gate.kind": "static"})  # reads nothing


def _forward(stack: Stack, n_clips: int = 40) -> ModelOutput:
    clips = torch.arange(n_clips).repeat(len(stack.replicas), 1)
    with torch.no_grad():
        features, available = stack.inputs.gather(clips, stack.inputs.rows(range(len(clips))))
        return stack.model(features, available, stack.inputs.prediction_noise("held out", n_clips))


def test_the_late_residual_adds_the_encoders_logits_by_the_gates_weights() -> None:
    parts = {"auxiliary": True, "by_states": True, "pair_logits": True}
    stack = make_stack([make_replica(model={**parts, "residual": True}, train=TRAINED)])
    train(stack, 2)
    with_residual = _forward(stack)
    without = make_stack([make_replica(model=parts, train=TRAINED)])
    without.restore(0, stack.slices(0))
    plain, selection = _forward(without), with_residual.selection
    assert selection is not None
    assert plain.log_auxiliary is not None
    added = (selection.weights.unsqueeze(-1) * _logits_of_sets(plain, stack)).sum(1)
    assert with_residual.pair_logits is not None
    assert plain.pair_logits is not None
    difference = stack.model.sets.possible_logits(with_residual.presence_logits, with_residual.pair_logits)
    difference = difference - stack.model.sets.possible_logits(plain.presence_logits, plain.pair_logits)
    torch.testing.assert_close(difference, added, atol=1e-4, rtol=1e-4)


def _logits_of_sets(output: ModelOutput, stack: Stack) -> Tensor:
    """[replica, slot, clip, set] of the auxiliary heads, from their parameters and the log-probabilities' shape."""
    assert output.log_auxiliary is not None
    value, latent = stack.model.values(), []
    clips = torch.arange(40).view(1, -1)
    features, _ = stack.inputs.gather(clips, stack.inputs.rows([0]))
    for encoder, name in enumerate(("face", "voice", "body")):
        projected = features[encoder][0] @ value[f"projection.{name}.weight"][0] + value[f"projection.{name}.bias"][0]
        gain, shift = value["projection.gain"][0, encoder], value["projection.shift"][0, encoder]
        latent.append(torch.nn.functional.gelu(torch.nn.functional.layer_norm(projected, (16,), gain, shift)))
    heads = [
        torch.einsum("sch,shk->sck", torch.stack(latent), value[f"auxiliary.{part}_weight"][0])
        + value[f"auxiliary.{part}_bias"][0].unsqueeze(1)
        for part in ("class", "pair")
    ]
    logits = stack.model.sets.possible_logits(*heads)
    torch.testing.assert_close(torch.log_softmax(logits, -1), output.log_auxiliary[0], atol=1e-4, rtol=1e-4)
    return logits.detach().unsqueeze(0)


def test_a_gate_that_sees_predictions_starts_as_the_one_that_does_not() -> None:
    both = {"auxiliary": True, "sees_predictions": True}
    output = _forward(make_stack([make_replica(model={"auxiliary": True}), make_replica(1, model=both)]))
    torch.testing.assert_close(output.scores[0], output.scores[1])


class SwappedFeatures:
    """Features that show the labels through noise; on 30% of the clips an encoder's are another clip's."""

    def __init__(self, clips: Clips, swapped: NDArray[np.bool_]) -> None:
        random, content = np.random.default_rng(1), clips.task.state_salience[clips.state]
        self.available = torch.ones(len(DIMS), len(clips), dtype=torch.bool)
        self.views = []
        for dim, rows in zip(DIMS, map(np.flatnonzero, swapped), strict=True):
            values = content @ random.normal(size=(6, dim)) + 0.4 * random.normal(size=(len(clips), dim))
            values[rows] = values[np.roll(rows, 1)]
            self.views.append(torch.from_numpy(values.astype(np.float32)))

    def view(self, view: FeatureView) -> Tensor:
        return self.views[view.encoder]


def test_an_encoder_that_is_at_odds_with_the_others_on_a_clip_loses_weight_there() -> None:
    """Its vector alone, of another clip and as sound as any, does not show it: the gate that sees latents takes a
    hundredth of the weight away."""
    n_clips, actor = 1200, np.arange(1200) % 12
    random = np.random.default_rng(0)
    names, actors = np.array([f"clip_{i}" for i in range(n_clips)]), tuple(f"actor_{a}" for a in range(12))
    clips = Clips(names, actor, actors, actor % 3, random.integers(0, 36, n_clips), n_clips, BLEMORE)
    swapped = np.random.default_rng(2).random((len(DIMS), n_clips)) < 0.3
    parts: dict[str, Any] = {"auxiliary": True, "n_kept": 3, "by_states": True}
    replicas = [
        make_replica(
            index,
            model={**parts, "sees_predictions": predictions, "sees_clip": not predictions},
            train={"lambda_auxiliary": 1.0, "epochs": 15, "lr": 1e-2},
        )
        for index, predictions in enumerate((False, True))
    ]
    features = SwappedFeatures(clips, swapped)
    stack = Stack(replicas, StackShape("fusion", 16, 64, 0, DIMS), NAMES, clips, features, torch.device("cpu"))
    train(stack, 15)
    held_out = stack.plan.held_out[0]
    scores = torch.from_numpy(predict(stack).gate_scores[:, : len(held_out)])
    weights = torch.softmax(scores, -1).numpy()  # [replica, clip, encoder]
    lost = [
        np.mean([one[~swapped[e, held_out], e].mean() - one[swapped[e, held_out], e].mean() for e in (0, 2)])
        for one in weights
    ]  # of the two encoders that say much; the second is hardly used
    assert lost[1] > lost[0] + 0.05
