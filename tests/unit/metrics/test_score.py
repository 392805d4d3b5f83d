import numpy as np
import pytest

from rfe.metrics.presence import presence_hits
from rfe.metrics.salience import salience_hits
from rfe.metrics.score import fold_totals, score
from rfe.task import BLEMORE

HAP = BLEMORE.state_index({"hap": 100})
ANG_DISG = {share: BLEMORE.state_index({"ang": share, "disg": 100 - share}) for share in (70, 50, 30)}
ANG_SAD = BLEMORE.state_index({"ang": 50, "sad": 50})


def test_presence_ignores_the_ratio_and_salience_does_not() -> None:
    truth = np.array([HAP, ANG_DISG[70], ANG_DISG[70], ANG_DISG[70], ANG_DISG[70]])
    predicted = np.array([HAP, ANG_DISG[70], ANG_DISG[30], ANG_SAD, BLEMORE.state_index({"ang": 100})])
    assert presence_hits(BLEMORE, truth, predicted).tolist() == [True, True, True, False, False]
    assert salience_hits(BLEMORE, truth, predicted).tolist() == [False, True, False, False, False]
    scores = score(BLEMORE, truth, predicted)
    assert (scores.acc_presence, scores.acc_salience, scores.score) == (0.6, 0.25, 0.425)


def test_no_answer_is_always_wrong() -> None:
    truth = np.arange(BLEMORE.n_states)
    nothing = np.full((2, BLEMORE.n_states), -1)
    assert not presence_hits(BLEMORE, truth, nothing).any()
    assert not salience_hits(BLEMORE, truth, nothing).any()


def test_without_a_true_blend_salience_is_not_measured() -> None:
    scores = score(BLEMORE, np.array([HAP]), np.array([HAP]))
    assert scores.acc_presence == 1.0
    assert np.isnan(scores.acc_salience)
    assert np.isnan(scores.score)


def test_fold_hits_count_by_fold_and_pool_over_clips() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, BLEMORE.n_states, 500), rng.integers(0, BLEMORE.n_states, (3, 2, 500))
    predicted[..., :300] = truth[:300]
    fold = rng.integers(0, 4, 500)
    hits = fold_totals(BLEMORE, truth, predicted, fold)
    assert hits.totals["score"].shape == (3, 2, 4, 4)
    for k in range(4):
        inside = fold == k
        right = BLEMORE.state_set[predicted[1, 0, inside]] == BLEMORE.state_set[truth[inside]]
        assert hits.totals["acc_presence"][1, 0, k, 0] == right.sum()
        assert hits.totals["acc_salience"][1, 0, k, 1] == BLEMORE.state_is_blend[truth[inside]].sum()
        chosen = hits[..., [k, k]]  # a fold twice
        np.testing.assert_allclose(chosen.pool("acc_presence"), hits.by_fold("acc_presence")[..., k])
        others = score(BLEMORE, truth[~inside], predicted[..., ~inside])
        assert hits.without(k).score == pytest.approx(others.score, abs=1e-12)
        assert hits.mean().score_by_fold[k] == pytest.approx(
            score(BLEMORE, truth[inside], predicted[..., inside]).score
        )
    alone = [score(BLEMORE, truth, predicted[i, j]).score for i in range(3) for j in range(2)]
    np.testing.assert_allclose(hits.score.ravel(), alone)
    assert hits.pooled().score == pytest.approx(np.mean(alone))
    unknown = hits.by_fold("macro_f1"), hits.pool("macro_f1")
    assert [one.shape for one in unknown] == [(3, 2, 4), (3, 2)]
    assert all(np.isnan(one).all() for one in unknown)


def test_pooled_score_is_not_the_mean_over_folds() -> None:
    truth, predicted = np.array([ANG_SAD, ANG_SAD, ANG_SAD, HAP]), np.array([ANG_SAD, ANG_SAD, ANG_SAD, ANG_SAD])
    hits = fold_totals(BLEMORE, truth, predicted, np.array([0, 0, 1, 1]), folds=[0, 1])
    assert hits.pooled().score == 0.5 * 0.75 + 0.5
    assert hits.score_by_fold.mean() == 0.5 * (1.0 + 0.75)
    assert hits[[1]].pooled() == fold_totals(BLEMORE, truth, predicted, np.array([0, 0, 1, 1]), folds=[1]).pooled()
