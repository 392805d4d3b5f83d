"""A pair's ratio has a head of its own: antisymmetric, trained on blends only, read by decoders."""

import numpy as np
import pytest
import torch

from rfe.decoding.base import Outputs
from rfe.decoding.decoupled import DecoupledDecoder
from rfe.decoding.ratio_model import ratio_evidence
from rfe.decoding.state_model import salience_evidence
from rfe.ensemble.final_decoder import average_outputs
from rfe.model.pair_heads import lean_pairs, ratio_loss
from rfe.task import BLEMORE
from rfe.training.prediction import predict
from tests.unit.training.stacks import make_clips, make_replica, make_stack, train

GENERATOR = torch.Generator().manual_seed(4)
FEATURE = torch.randn(2, 5, 8, generator=GENERATOR)
WEIGHT = torch.randn(2, 8, 3, generator=GENERATOR)
EMBEDDING = torch.randn(2, 10, 2, 3, generator=GENERATOR)
QUERY = torch.randn(2, 3, generator=GENERATOR)
PAIRS = torch.tensor(BLEMORE.pairs)


def test_exchanging_a_pairs_classes_mirrors_its_ratio() -> None:
    leanings = lean_pairs(FEATURE, WEIGHT, EMBEDDING, QUERY)
    mirrored = lean_pairs(FEATURE, WEIGHT, EMBEDDING.flip(2), QUERY)
    torch.testing.assert_close(mirrored, -leanings)
    assert (leanings.std(1) > 0.01).all()  # it depends on the clip, and not on the pair alone


def test_a_leaning_by_hand() -> None:
    hidden = FEATURE[1, 2] @ WEIGHT[1]
    expected = QUERY[1] @ (torch.tanh(hidden + EMBEDDING[1, 7, 0]) - torch.tanh(hidden + EMBEDDING[1, 7, 1]))
    torch.testing.assert_close(lean_pairs(FEATURE, WEIGHT, EMBEDDING, QUERY)[1, 2, 7], expected)


def test_the_loss_is_the_cross_entropy_of_the_clips_own_pair() -> None:
    logits, leanings = torch.randn(1, 3, 6, generator=GENERATOR), torch.randn(1, 3, 10, generator=GENERATOR)
    shares = torch.zeros(1, 3, 10, 2)
    shares[0, 1, 4] = torch.tensor([0.7, 0.3])
    loss = ratio_loss(logits, leanings, shares, PAIRS)[0]
    first, second = BLEMORE.pairs[4]
    difference = logits[0, 1, first] - logits[0, 1, second] + leanings[0, 1, 4]
    torch.testing.assert_close(
        loss[1], -(0.7 * torch.sigmoid(difference).log() + 0.3 * torch.sigmoid(-difference).log())
    )
    assert (loss[[0, 2]] == 0).all()  # singles


def test_a_mixture_of_clips_has_the_mixture_of_their_losses() -> None:
    stack = make_stack([make_replica(model={"pair_ratio": True}, train={"lambda_ratio": 1.0})])
    state = make_clips().state[:180]
    shares = stack._shares[:180].unflatten(-1, (-1, 2))
    blend = state >= 6
    assert (shares[~blend] == 0).all()
    np.testing.assert_allclose(shares[blend].sum((-2, -1)), 1.0)
    pair, ratio = np.divmod(state[blend] - 6, 3)
    np.testing.assert_allclose(shares[blend][np.arange(blend.sum()), pair, 0], np.array([0.7, 0.5, 0.3])[ratio])


def test_a_trained_term_has_a_part_in_what_tells_ratios_apart() -> None:
    clips = make_clips()
    replica = make_replica(model={"pair_ratio": True}, train={"lambda_ratio": 1.0, "epochs": 20, "lr": 1e-2})
    stack = make_stack([replica], clips=clips)
    assert (predict(stack).salience_logits[..., 6:] == 0).all()  # it starts as the difference alone
    train(stack, 20)
    held_out = stack.plan.held_out[0]
    held_out = held_out[clips.state[held_out] >= 6]
    pair, ratio = np.divmod(clips.state[held_out] - 6, 3)
    place = np.searchsorted(stack.plan.held_out[0], held_out)
    logits = predict(stack).salience_logits[0, place]
    assert np.abs(logits[:, 6:]).max() > 0.1
    difference = ratio_evidence(BLEMORE, logits)[pair, np.arange(len(pair))]
    assert difference[ratio == 0].mean() > 0.5
    assert difference[ratio == 2].mean() < -0.5


@pytest.fixture
def outputs() -> Outputs:
    random = np.random.default_rng(3)
    logits, wide = random.normal(size=(4, 20, 6)), random.normal(size=(4, 20, 16))
    return Outputs(logits, wide, np.full((4, 20, 6), 1 / 6))


def test_decoders_read_the_pairs_term(outputs: Outputs) -> None:
    plain = Outputs(outputs.presence_logits, outputs.salience_logits[..., :6], outputs.fused)
    difference = ratio_evidence(BLEMORE, outputs.salience_logits) - ratio_evidence(BLEMORE, plain.salience_logits)
    np.testing.assert_allclose(difference, np.moveaxis(outputs.salience_logits[..., 6:], -1, -2))
    np.testing.assert_array_equal(
        salience_evidence(BLEMORE, outputs.salience_logits), salience_evidence(BLEMORE, plain.salience_logits)
    )
    decoder = DecoupledDecoder(BLEMORE)
    assert not np.array_equal(decoder.candidates(outputs).leaning, decoder.candidates(plain).leaning)
    none = Outputs(outputs.presence_logits, np.pad(plain.salience_logits, ((0, 0), (0, 0), (0, 10))), outputs.fused)
    for name in ("leaning", "unevenness", "strength"):
        np.testing.assert_array_equal(*(getattr(decoder.candidates(one), name) for one in (none, plain)))


def test_averaged_outputs_lean_as_the_mean_of_their_shares_does(outputs: Outputs) -> None:
    averaged = average_outputs(BLEMORE, outputs)
    shares = 1 / (1 + np.exp(-ratio_evidence(BLEMORE, outputs.salience_logits)))
    found = 1 / (1 + np.exp(-ratio_evidence(BLEMORE, averaged.salience_logits)))
    np.testing.assert_allclose(found, shares.mean(0), atol=1e-6)
