import torch

from rfe.model.fusion import concat_by_rank, embed_ranks, place_of, shuffle_places, sum_weighted
from rfe.model.selection import keep_top_n

GENERATOR = torch.Generator().manual_seed(3)
LATENT = torch.randn(2, 4, 30, 8, generator=GENERATOR)
SCORES = torch.randn(2, 4, 30, generator=GENERATOR)
N_KEPT = torch.tensor([2, 3])
SELECTION = keep_top_n(SCORES, torch.ones(2, 4, 30, dtype=torch.bool), N_KEPT, torch.tensor([True, True]))
PLACE = place_of(SELECTION.rank, N_KEPT)


def test_weighted_sum_by_hand() -> None:
    fused = sum_weighted(LATENT, SELECTION.weights)
    order = SCORES[1, :, 5].argsort(descending=True)[:3]
    share = torch.softmax(SCORES[1, order, 5], 0)
    torch.testing.assert_close(fused[1, 5], (share.unsqueeze(1) * LATENT[1, order, 5]).sum(0))


def test_rank_concat_by_hand() -> None:
    place_weight = torch.randn(2, 4, 8, 8, generator=GENERATOR)
    bias = torch.randn(2, 8, generator=GENERATOR)
    fused = concat_by_rank(LATENT, SELECTION.weights, PLACE, place_weight, bias)
    order = SCORES[0, :, 9].argsort(descending=True)[:2]
    share = torch.softmax(SCORES[0, order, 9], 0)
    expected = bias[0].clone()
    for place, encoder in enumerate(order.tolist()):
        expected += share[place] * LATENT[0, encoder, 9] @ place_weight[0, place]
    torch.testing.assert_close(fused[0, 9], expected)


def test_rank_concat_does_not_care_how_many_places_a_neighbour_keeps() -> None:
    place_weight = torch.randn(2, 4, 8, 8, generator=GENERATOR)
    bias = torch.zeros(2, 8)
    whole = concat_by_rank(LATENT, SELECTION.weights, PLACE, place_weight, bias)
    trimmed = concat_by_rank(LATENT, SELECTION.weights, PLACE, place_weight[:, :3], bias)
    torch.testing.assert_close(whole, trimmed)


def test_rank_embedding_by_hand() -> None:
    embedding = torch.randn(2, 4, 8, generator=GENERATOR)
    added = embed_ranks(SELECTION.weights, PLACE, embedding)
    share = torch.softmax(SCORES[1, :, 2].sort(descending=True).values[:3], 0)
    torch.testing.assert_close(added[1, 2], (share.unsqueeze(1) * embedding[1, :3]).sum(0))


def test_encoders_not_kept_act_in_the_last_kept_place() -> None:
    assert PLACE[0].max() == 1
    assert PLACE[1].max() == 2
    assert (PLACE[0][~SELECTION.kept[0]] == 1).all()


def test_shuffled_places_are_a_permutation_that_knows_no_rank() -> None:
    scores = torch.randn(2, 4, 4000, generator=GENERATOR)
    selection = keep_top_n(scores, torch.ones(2, 4, 4000, dtype=torch.bool), N_KEPT, torch.tensor([True, True]))
    place = shuffle_places(torch.rand(2, 4, 4000, generator=GENERATOR), selection.kept, N_KEPT)
    for replica, n_kept in enumerate(N_KEPT.tolist()):
        kept = selection.kept[replica]
        places = place[replica].masked_fill(~kept, 9).sort(0).values[:n_kept]
        torch.testing.assert_close(places, torch.arange(n_kept).unsqueeze(1).expand_as(places))
        assert (place[replica][~kept] == n_kept - 1).all()
        first = place[replica][selection.rank[replica] == 0].float()  # of the encoder that ranks first
        assert abs(first.mean() - (n_kept - 1) / 2) < 0.1
