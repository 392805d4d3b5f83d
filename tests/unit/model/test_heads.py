import math

import torch

from rfe.model.head_fusion import fuse_heads
from rfe.model.heads import SetTensors, decide_blend, divergence, presence_distribution, presence_loss, set_logits
from rfe.task import BLEMORE
from tests.tasks import COMPOUND

LOGITS = torch.tensor([[[2.0, -1.0, 0.5, -3.0, 0.0, 1.0]], [[2.0, -1.0, 0.5, -3.0, 0.0, 1.0]]])
SETS = SetTensors.of(BLEMORE, torch.device("cpu"))
BY_STATES = torch.tensor([False, True])


def test_set_logit_is_the_sum_of_its_emotions() -> None:
    logits = set_logits(SETS, LOGITS)[0, 0]
    assert logits.shape == (16,)
    assert math.isclose(logits[0].item(), 2.0)
    assert math.isclose(logits[6].item(), 1.0)  # anger and disgust, the first pair


def test_a_pair_may_have_a_logit_of_its_own() -> None:
    own = torch.zeros(2, 1, 10)
    own[1, 0, 0] = 4.0  # anger and disgust
    torch.testing.assert_close(set_logits(SETS, LOGITS, own)[0], set_logits(SETS, LOGITS)[0])
    expected = set_logits(SETS, LOGITS)[1, 0].clone()
    expected[6] += 4.0
    torch.testing.assert_close(set_logits(SETS, LOGITS, own)[1, 0], expected)
    p = presence_distribution(SETS, LOGITS, BY_STATES, own)
    marginals = torch.softmax(expected, -1) @ SETS.members
    torch.testing.assert_close(p[1, 0], marginals / marginals.sum())
    torch.testing.assert_close(p[0], presence_distribution(SETS, LOGITS, BY_STATES)[0])
    loss = presence_loss(SETS, LOGITS, torch.eye(16)[torch.tensor([[6], [6]])], BY_STATES, own)
    torch.testing.assert_close(loss[1, 0], -torch.log_softmax(expected, -1)[6])


def test_whether_a_clip_is_a_blend_may_have_a_logit_of_its_own() -> None:
    own = torch.zeros(2, 1, 10)
    own[1, 0, 3] = 2.0
    blend = torch.tensor([[-1.0], [0.7]])
    before = torch.softmax(set_logits(SETS, LOGITS, own), -1)
    after = torch.softmax(set_logits(SETS, LOGITS, decide_blend(SETS, LOGITS, own, blend)), -1)
    torch.testing.assert_close(after[..., 6:].sum(-1), torch.sigmoid(blend))
    for part in (slice(None, 6), slice(6, None)):  # which one, and which two, is what the sets' logits say
        within = before[..., part] / before[..., part].sum(-1, keepdim=True)
        torch.testing.assert_close(after[..., part] / after[..., part].sum(-1, keepdim=True), within)


def test_a_blend_logit_leaves_out_what_no_clip_shows() -> None:
    sets = SetTensors.of(COMPOUND, torch.device("cpu"))
    logits = torch.randn(1, 5, COMPOUND.n_classes, generator=torch.Generator().manual_seed(2))
    moved = decide_blend(sets, logits, torch.zeros(1, 5, COMPOUND.n_pairs), torch.full((1, 5), 0.4))
    found = torch.softmax(sets.possible_logits(logits, moved), -1)
    torch.testing.assert_close(found[..., COMPOUND.n_classes :].sum(-1), torch.sigmoid(torch.full((1, 5), 0.4)))
    assert sets.impossible is not None
    assert (found[..., sets.impossible] == 0).all()


def test_presence_probabilities_of_both_kinds_sum_to_one() -> None:
    p = presence_distribution(SETS, LOGITS, BY_STATES)
    torch.testing.assert_close(p.sum(-1), torch.ones(2, 1))
    sigmoid = torch.sigmoid(LOGITS[0, 0])
    torch.testing.assert_close(p[0, 0], sigmoid / sigmoid.sum())
    marginals = torch.softmax(set_logits(SETS, LOGITS[1, 0]), -1) @ SETS.members
    torch.testing.assert_close(p[1, 0], marginals / marginals.sum())


def test_presence_loss_by_hand() -> None:
    both = presence_loss(SETS, LOGITS, torch.eye(16)[torch.tensor([[6], [6]])], BY_STATES)
    target = torch.tensor([1.0, 1, 0, 0, 0, 0])
    sigmoid = torch.sigmoid(LOGITS[0, 0])
    bce = -(target * sigmoid.log() + (1 - target) * (1 - sigmoid).log()).sum()
    torch.testing.assert_close(both[0, 0], bce)
    torch.testing.assert_close(both[1, 0], -torch.log_softmax(set_logits(SETS, LOGITS[1, 0]), -1)[6])


def test_divergence_is_zero_at_the_soft_label_and_positive_elsewhere() -> None:
    soft = torch.tensor(BLEMORE.state_salience).unsqueeze(0)  # all 36 states
    at_label = divergence(soft, soft.clamp(min=1e-30).log())
    torch.testing.assert_close(at_label, torch.zeros(1, 36), atol=1e-6, rtol=0)
    uniform = divergence(soft, torch.full_like(soft, 1 / 6).log())
    assert (uniform > 1.0).all()


def test_head_fusion_ends_are_the_heads_themselves() -> None:
    presence = torch.tensor([0.5, 0.2, 0.1, 0.1, 0.05, 0.05]).expand(4, 1, 6)
    log_salience = torch.log(torch.tensor([0.1, 0.6, 0.1, 0.1, 0.05, 0.05])).expand(4, 1, 6)
    omega = torch.tensor([1.0, 0.0, 1.0, 0.0])
    fused = fuse_heads(presence, log_salience, omega, torch.tensor([False, False, True, True])).exp()
    for row, expected in enumerate((presence[0], log_salience[0].exp(), presence[0], log_salience[0].exp())):
        torch.testing.assert_close(fused[row], expected)


def test_head_fusion_between_the_ends_by_hand() -> None:
    presence = torch.tensor([[[0.5, 0.5, 0, 0, 0, 0]]] * 2)
    salience = torch.tensor([[[0.9, 0.1, 0, 0, 0, 0]]] * 2).clamp(min=1e-12)
    fused = fuse_heads(presence, salience.log(), torch.tensor([0.5, 0.5]), torch.tensor([False, True])).exp()
    torch.testing.assert_close(fused[0, 0, :2], torch.tensor([0.7, 0.3]))
    odds = math.sqrt(0.9 / 0.1)
    torch.testing.assert_close(fused[1, 0, :2], torch.tensor([odds / (1 + odds), 1 / (1 + odds)]), rtol=1e-4, atol=1e-6)


def test_every_set_has_the_members_its_name_says() -> None:
    assert BLEMORE.set_members.sum() == 6 + 2 * 10
