import torch

from rfe.model.selection import keep_top_n


def _random(seed: int = 0, shape: tuple[int, int, int] = (3, 5, 40)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    available = torch.rand(shape, generator=generator) > 0.2
    available[:, 0] = True
    scores = torch.randn(shape, generator=generator).masked_fill(~available, float("-inf"))
    return scores.requires_grad_(True), available


def test_kept_weights_sum_to_one_over_the_n_highest_scores() -> None:
    scores, available = _random()
    n_kept = torch.tensor([1, 2, 4])
    selection = keep_top_n(scores, available, n_kept, torch.tensor([True, False, True]))
    torch.testing.assert_close(selection.weights.sum(1), torch.ones(3, 40))
    assert (selection.weights.detach()[~selection.kept] == 0).all()
    assert not selection.kept[~available].any()
    expected = torch.minimum(n_kept.view(-1, 1), available.sum(1))
    assert torch.equal(selection.kept.sum(1), expected)
    lowest_kept = scores.masked_fill(~selection.kept, float("inf")).min(1).values
    highest_left = scores.masked_fill(selection.kept | ~available, float("-inf")).max(1).values
    assert (lowest_kept >= highest_left).all()


def test_keeping_all_is_the_plain_softmax_whatever_the_gradient() -> None:
    scores, available = _random()
    all_kept = torch.tensor([5, 6, 9])
    gradients = []
    for through in (True, False):
        selection = keep_top_n(scores, available, all_kept, torch.full((3,), through))
        torch.testing.assert_close(selection.weights, torch.softmax(scores, 1))
        (gradient,) = torch.autograd.grad((selection.weights * torch.arange(40.0)).square().sum(), scores)
        gradients.append(gradient)
    torch.testing.assert_close(gradients[0], gradients[1])
    assert gradients[0].abs().max() > 0


def test_with_one_kept_the_gate_still_gets_a_gradient() -> None:
    scores, available = _random()
    one = torch.ones(3, dtype=torch.long)
    worth = torch.randn(3, 5, 40)
    through = keep_top_n(scores, available, one, torch.ones(3, dtype=torch.bool)).weights
    (gradient,) = torch.autograd.grad((through * worth).sum(), scores)
    assert gradient.abs().sum((1, 2)).min() > 1.0
    kept_only = keep_top_n(scores, available, one, torch.zeros(3, dtype=torch.bool)).weights
    (gradient,) = torch.autograd.grad((kept_only * worth).sum(), scores)
    assert gradient.abs().max() < 1e-6  # the weight is the constant 1


def test_ties_rank_by_encoder_order() -> None:
    scores = torch.zeros(1, 4, 2)
    available = torch.ones(1, 4, 2, dtype=torch.bool)
    available[0, 0, 1] = False
    scores = scores.masked_fill(~available, float("-inf"))
    kept = keep_top_n(scores, available, torch.tensor([2]), torch.tensor([True])).kept
    assert kept[0, :, 0].tolist() == [True, True, False, False]
    assert kept[0, :, 1].tolist() == [False, True, True, False]


def test_order_of_encoders_does_not_change_their_weights() -> None:
    scores, available = _random()
    order = torch.tensor([3, 1, 4, 0, 2])
    n_kept, through = torch.tensor([2, 3, 1]), torch.tensor([True, True, False])
    straight = keep_top_n(scores, available, n_kept, through).weights
    permuted = keep_top_n(scores[:, order], available[:, order], n_kept, through).weights
    torch.testing.assert_close(permuted, straight[:, order])


def test_a_clip_without_any_encoder_has_no_weight_and_a_finite_gradient() -> None:
    scores, available = _random()
    available[:, :, 7] = False
    masked = scores.masked_fill(~available, float("-inf"))
    weights = keep_top_n(masked, available, torch.tensor([2, 2, 2]), torch.tensor([True, False, True])).weights
    assert (weights[:, :, 7] == 0).all()
    (gradient,) = torch.autograd.grad(weights.square().sum(), scores)
    assert gradient.isfinite().all()
