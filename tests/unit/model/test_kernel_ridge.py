"""Kernel ridge: that it is scikit-learn's, weighted and shared between penalties, and what landmarks leave of it."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import kernel_ridge

from rfe.model.fitted import FLOOR, PoolFeatures, TrainingClips
from rfe.model.kernel_ridge import EXACT, LANDMARKS, KernelRidge
from rfe.task import BLEMORE

NAMES = ("face", "voice")


def make_clips(n: int = 240, seed: int = 0) -> TrainingClips:
    rng = np.random.default_rng(seed)
    state = rng.integers(0, BLEMORE.n_states, n)
    soft = BLEMORE.state_salience[state]
    values = {
        name: (soft @ rng.normal(size=(6, dim)) + 0.5 * rng.normal(size=(n, dim))).astype(np.float32)
        for name, dim in (("face", 8), ("voice", 12))
    }
    available = {name: np.ones(n, bool) for name in NAMES}
    weight = rng.uniform(0.5, 1.5, n).astype(np.float32)
    return TrainingClips(PoolFeatures(values, available), BLEMORE, state, weight, seed=7, fold=1)


def targets_of(clips: TrainingClips) -> np.ndarray:
    each = np.concatenate([np.eye(BLEMORE.n_sets)[BLEMORE.state_set], BLEMORE.state_salience], 1)
    return each[clips.state]


def test_the_regression_is_scikit_learns() -> None:
    clips, models = make_clips(), [KernelRidge(NAMES, penalty=penalty) for penalty in (0.1, 2.0)]
    targets = targets_of(clips)
    mean = np.average(targets, 0, clips.weight)
    kernel = models[0]._kernel(clips.features, targets).between(clips.features, clips.features)
    fits = KernelRidge.fit(models, clips)
    unseen = make_clips(seed=1).features
    outputs = KernelRidge.predict(models, [fit.weights for fit in fits], unseen, BLEMORE)
    between = models[0]._kernel(clips.features, targets).between(unseen, clips.features)
    for model, fit, output in zip(models, fits, outputs, strict=True):
        theirs = kernel_ridge.KernelRidge(alpha=model.penalty, kernel="precomputed")
        theirs.fit(kernel, targets - mean, sample_weight=clips.weight)
        scores = theirs.predict(between) + mean
        expected = np.log(np.maximum(scores, FLOOR))
        np.testing.assert_allclose(output.presence_logits, expected[:, : BLEMORE.n_sets], atol=5e-2)
        np.testing.assert_allclose(np.exp(output.presence_logits), np.exp(expected[:, : BLEMORE.n_sets]), atol=1e-4)
        np.testing.assert_allclose(np.exp(output.salience_logits), np.exp(expected[:, BLEMORE.n_sets :]), atol=1e-4)
        np.testing.assert_allclose(output.fused.sum(-1), 1.0, rtol=1e-5)
        residual = theirs.predict(kernel) + mean - targets
        assert fit.loss == pytest.approx((clips.weight[:, None] * residual**2).mean(), rel=1e-3)


def test_penalties_that_share_a_kernel_do_not_see_each_other() -> None:
    clips, models = make_clips(), [KernelRidge(NAMES, penalty=penalty) for penalty in (0.1, 1.0, 2.0)]
    fits = KernelRidge.fit(models, clips)
    together = KernelRidge.predict(models, [fit.weights for fit in fits], clips.features, BLEMORE)
    for model, fit, outputs in zip(models, fits, together, strict=True):
        (alone,) = KernelRidge.fit([model], clips)
        np.testing.assert_array_equal(fit.weights["coefficients"], alone.weights["coefficients"])
        (own,) = KernelRidge.predict([model], [alone.weights], clips.features, BLEMORE)
        np.testing.assert_array_equal(outputs.presence_logits, own.presence_logits)


@pytest.mark.parametrize("combination", ["sum", "product"])
def test_landmarks_approach_the_whole(combination: str) -> None:
    clips, exact = make_clips(), KernelRidge(NAMES, penalty=1.0, combination=combination)
    unseen = make_clips(seed=1).features
    whole = KernelRidge.predict([exact], [KernelRidge.fit([exact], clips)[0].weights], unseen, BLEMORE)[0]
    apart = []
    for landmarks in (20, 120, 239):
        model = replace(exact, landmarks=landmarks)
        (fit,) = KernelRidge.fit([model], clips)
        assert len(fit.weights["coefficients"]) == len(fit.weights["landmarks.face"]) == landmarks
        (found,) = KernelRidge.predict([model], [fit.weights], unseen, BLEMORE)
        apart.append(float(np.abs(found.fused - whole.fused).mean()))
        fitted = KernelRidge.predict([model], [fit.weights], clips.features, BLEMORE)
        assert np.isfinite(fitted[0].presence_logits).all()
    assert apart[0] > 2 * apart[1] > 2 * apart[2]
    assert apart[2] < 2e-3
    assert KernelRidge.fit([exact], clips)[0].loss == pytest.approx(fit.loss, rel=0.02)


def test_landmarks_are_drawn_by_the_seed_and_only_where_there_are_more_clips() -> None:
    clips, model = make_clips(), KernelRidge(NAMES, landmarks=20)
    first, again, other = (
        KernelRidge.fit([model], one)[0].weights["coefficients"] for one in (clips, clips, replace(clips, seed=8))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert model.is_random(21)
    assert not model.is_random(20)
    default = KernelRidge(NAMES)
    assert [default.n_landmarks(n) for n in (EXACT, EXACT + 1, 100_000)] == [EXACT, LANDMARKS, LANDMARKS]


def test_100_000_clips_are_planned_within_4_gib() -> None:
    dims = {"face": 700, "voice": 700}
    assert KernelRidge(NAMES).memory_bytes(80_000, dims, BLEMORE) < 4 * 2**30
    assert KernelRidge(NAMES).memory_bytes(EXACT, dims, BLEMORE) < 4 * 2**30


def test_scores_are_the_logarithms_of_the_encoders_weights() -> None:
    clips = make_clips()
    clips.features.available["voice"][4] = False
    model = KernelRidge(NAMES, weights=(3.0, 1.0))
    (found,) = KernelRidge.predict([model], [KernelRidge.fit([model], clips)[0].weights], clips.features, BLEMORE)
    np.testing.assert_allclose(np.exp(found.scores[0]), [0.75, 0.25], rtol=1e-5)
    np.testing.assert_allclose(np.exp(found.scores[4]), [0.75, 0.0], rtol=1e-5)


def test_arrays_of_a_file_are_checked() -> None:
    clips, model, dims = make_clips(), KernelRidge(NAMES), {"face": 8, "voice": 12}
    weights = KernelRidge.fit([model], clips)[0].weights
    model.check(weights, dims, BLEMORE)
    for changes, message in (
        ({"mean": weights["mean"][:-1]}, r"mean has the shape \[21\]|mean has the shape"),
        ({"landmarks.face": weights["landmarks.face"][:, :-1]}, "landmarks.face has the shape"),
        ({"coefficients": weights["coefficients"][:-1]}, "not of one number"),
        ({"bandwidth": 0 * weights["bandwidth"]}, "not above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            model.check(weights | changes, dims, BLEMORE)
    del weights["available"]
    with pytest.raises(ValueError, match="available is missing"):
        model.check(weights, dims, BLEMORE)
