import torch

from rfe.model.gate import balance_loss, score_encoders
from rfe.model.projection import Dropout, drop_out, dropout_factors
from rfe.model.random import stream, uniforms


def _scores(sees_clip: float, temperature: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    available = torch.ones(1, 3, 20, dtype=torch.bool)
    available[0, 1, :5] = False
    parts = (draw(1, 3, 20, 8), available, draw(1, 8), draw(1, 8, 8), draw(1, 8, 8), draw(1, 3, 8))
    return score_encoders(*parts, torch.tensor([sees_clip]), torch.tensor([temperature]))


def test_unavailable_encoders_score_minus_infinity() -> None:
    scores = _scores(1.0)
    assert torch.isneginf(scores[0, 1, :5]).all()
    assert scores[0, 1, 5:].isfinite().all()


def test_a_static_gate_is_blind_to_the_clip_and_an_attention_gate_is_not() -> None:
    assert len(_scores(0.0)[0, 0].unique()) == 1
    assert _scores(1.0)[0, 0].std() > 0.1


def test_temperature_divides() -> None:
    torch.testing.assert_close(_scores(1.0, 2.0)[0, 0] * 2.0, _scores(1.0, 1.0)[0, 0])


def test_balance_is_one_when_even_and_more_when_one_encoder_takes_all() -> None:
    available = torch.ones(2, 4, 8, dtype=torch.bool)
    even = torch.full((4, 8), 0.25)
    taken = torch.zeros(4, 8)
    taken[0] = 1.0
    kept = torch.stack([torch.ones(4, 8, dtype=torch.bool), taken.bool()])
    loss = balance_loss(torch.stack([even, taken]), kept, available)
    torch.testing.assert_close(loss, torch.tensor([1.0, 4.0]))


def test_dropout_drops_the_asked_share_and_keeps_the_mean() -> None:
    raw = stream(0, 0, "test").bytes(2 * 3 * 40_000)
    noise = torch.frombuffer(bytearray(raw), dtype=torch.int16).view(3, 200, 200)
    factors = dropout_factors(noise, torch.tensor([0.0, 0.25, 0.9]))
    dropped = drop_out(torch.ones(3, 1, 200, 200), Dropout(factors, torch.arange(3).unsqueeze(1)))
    share = (dropped == 0).float().mean((1, 2, 3))
    torch.testing.assert_close(share, torch.tensor([0.0, 0.25, 0.9]), atol=0.01, rtol=0)
    torch.testing.assert_close(dropped.mean((1, 2, 3)), torch.ones(3), atol=0.05, rtol=0)


def test_random_streams_go_by_address_alone() -> None:
    first = uniforms(1, 2, "dropout", 5, (100,))
    assert (uniforms(1, 2, "dropout", 5, (200,))[:100] == first).all()
    for other in ((0, 2, "dropout", 5), (1, 3, "dropout", 5), (1, 2, "gate", 5), (1, 2, "dropout", 6)):
        assert abs(uniforms(*other, (100,)) - first).max() > 0.1
