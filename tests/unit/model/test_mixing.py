"""Mixup and label smoothing by hand."""

import pytest
import torch

from rfe.model.stack import Mixing
from rfe.training.losses import smoothed


def test_each_clip_is_mixed_with_its_partner_by_its_replicas_share() -> None:
    mixing = Mixing(torch.tensor([[1, 2, 0], [1, 2, 0]]), torch.tensor([0.75, 1.0]))
    values = torch.tensor([[[4.0], [8.0], [0.0], [7.0]], [[4.0], [8.0], [0.0], [7.0]]])
    mixed = mixing.mix(values)
    # the fourth clip is none of the supervised batch
    torch.testing.assert_close(mixed[0, :, 0], torch.tensor([5.0, 6.0, 1.0, 7.0]))
    torch.testing.assert_close(mixed[1], values[1])
    torch.testing.assert_close(mixing.mix(values[..., 0]), mixed[..., 0])  # clip weights have no last axis


def test_smoothing_spreads_a_share_evenly() -> None:
    target = torch.eye(4).expand(2, 4, 4)
    soft = smoothed(target, torch.tensor([0.2, 0.0]))
    torch.testing.assert_close(soft.sum(-1), torch.ones(2, 4))
    assert soft[0, 0].tolist() == pytest.approx([0.85, 0.05, 0.05, 0.05])
    torch.testing.assert_close(soft[1], target[1])
