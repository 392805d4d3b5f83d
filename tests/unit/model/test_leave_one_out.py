"""Leave-one-out answers in closed form are those of as many fits."""

import numpy as np
import pytest

from rfe.model.fitted import Float64, PoolFeatures
from rfe.model.kernel_ridge import KernelRidge
from rfe.model.leave_one_out import choose_penalty, leave_one_out, log_shares
from rfe.task import BLEMORE
from tests.unit.model.test_kernel_ridge import NAMES, make_clips, targets_of

PENALTIES = (0.03, 0.3, 1.0, 3.0)
CLIPS = make_clips(60)
TARGETS = targets_of(CLIPS)
MEAN = np.average(TARGETS, 0, CLIPS.weight)


def kernel_of(features: PoolFeatures) -> np.ndarray:
    return KernelRidge(NAMES, kind="laplace")._kernel(features, TARGETS).between(features, features)


KERNEL = kernel_of(CLIPS.features)


def fit_without_each(penalty: float) -> Float64:
    answers = np.empty_like(TARGETS)
    for clip in range(60):
        others = np.arange(60) != clip
        shifted = KERNEL[np.ix_(others, others)].astype(float) + np.diag(penalty / CLIPS.weight[others])
        solved = np.linalg.solve(shifted, (TARGETS - MEAN)[others])
        answers[clip] = KERNEL[clip, others] @ solved + MEAN
    return answers


@pytest.mark.parametrize("penalty", PENALTIES)
def test_answers_are_those_of_a_fit_without_the_clip(penalty: float) -> None:
    given = KERNEL.copy()
    coefficients, answers = leave_one_out(given, TARGETS, MEAN, CLIPS.weight, penalty)
    np.testing.assert_allclose(answers, fit_without_each(penalty), atol=1e-4)
    shifted = KERNEL + np.diag(penalty / CLIPS.weight)
    np.testing.assert_allclose(shifted @ coefficients, TARGETS - MEAN, atol=1e-4)
    assert coefficients.flags.c_contiguous  # or a file would hold another matrix
    np.testing.assert_array_equal(given, KERNEL)


def test_the_likeliest_penalty_is_chosen_on_the_clips_that_count() -> None:
    there = np.arange(60) % 2 == 0
    likelihoods = []
    for penalty in PENALTIES:
        sets = log_shares(fit_without_each(penalty)[:, : BLEMORE.n_sets])
        own = sets[np.arange(60), BLEMORE.state_set[CLIPS.state]]
        likelihoods.append(float((CLIPS.weight * own)[there].sum()))
    best = PENALTIES[int(np.argmax(likelihoods))]
    _, answers = choose_penalty(KERNEL, TARGETS, MEAN, CLIPS.weight, there, BLEMORE.n_sets, PENALTIES)
    np.testing.assert_array_equal(answers, leave_one_out(KERNEL, TARGETS, MEAN, CLIPS.weight, best)[1])


def test_a_clip_that_shows_nothing_is_answered_with_the_mean() -> None:
    there = np.arange(60) != 5
    values = {name: one * there[:, None] for name, one in CLIPS.features.values.items()}
    kernel = kernel_of(PoolFeatures(values, dict.fromkeys(NAMES, there)))
    _, answers = leave_one_out(kernel, TARGETS, MEAN, CLIPS.weight, 1.0)
    np.testing.assert_allclose(answers[5], MEAN, atol=1e-6)
