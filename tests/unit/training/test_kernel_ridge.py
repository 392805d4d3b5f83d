"""Kernel ridge: its equations, what a missing encoder does, and that a fold's labels play no part in its answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.decoding.fitting import build_decoder, crossfit_decode
from rfe.training.kernel_ridge import KernelScores, fit_ridge, mean_kernel, score_out_of_fold
from tests.integration.fakes import write_data


def draw(n: int, dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


@pytest.mark.parametrize("kind", ["gaussian", "laplace"])
def test_the_kernel_is_the_mean_over_encoders(kind: str) -> None:
    values, everywhere = [draw(300, 4, 0), draw(300, 9, 1)], [np.ones(300, bool)] * 2
    kernel = mean_kernel(values, everywhere, 200, kind)
    assert kernel.shape == (300, 200)
    np.testing.assert_allclose(np.diag(kernel), 1.0, atol=2e-3 if kind == "laplace" else 1e-5)
    alone = [mean_kernel([one], everywhere[:1], 200, kind) for one in values]
    np.testing.assert_allclose(kernel, (alone[0] + alone[1]) / 2, atol=1e-6)
    distance = np.linalg.norm(values[0][:, None] - values[0][None, :200], axis=-1)
    median = np.median(distance[:200][np.triu_indices(200, 1)])
    expected = np.exp(-(distance**2) / (2 * median**2)) if kind == "gaussian" else np.exp(-distance / median)
    np.testing.assert_allclose(alone[0], expected, atol=2e-3)


def test_a_missing_encoder_is_left_out_of_the_mean() -> None:
    values, there = [draw(50, 4, 0), draw(50, 9, 1)], [np.ones(50, bool), np.arange(50) % 5 != 0]
    values[1][~there[1]] = 0.0
    kernel = mean_kernel(values, there, 40, "gaussian")
    alone = mean_kernel(values[:1], there[:1], 40, "gaussian")
    np.testing.assert_allclose(kernel[5], alone[5], atol=1e-6)  # clip 5 has the first encoder only
    np.testing.assert_allclose(kernel[:, 10], alone[:, 10], atol=1e-6)
    assert not np.allclose(kernel[1, 1:4], alone[1, 1:4], atol=1e-3)


def test_the_regression_is_scikit_learns() -> None:
    kernel = mean_kernel([draw(80, 5, 2)], [np.ones(80, bool)], 60, "gaussian")
    targets = np.eye(3)[np.arange(60) % 3]
    for penalty, (coefficients, mean) in fit_ridge(kernel[:60], targets, (0.1, 2.0)).items():
        theirs = KernelRidge(alpha=penalty, kernel="precomputed").fit(kernel[:60], targets - mean)
        np.testing.assert_allclose(kernel[60:] @ coefficients + mean, theirs.predict(kernel[60:]) + mean, atol=1e-4)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return load_dataset(write_data(tmp_path / "data"))


def scores_of(dataset: Dataset, cache: Path) -> KernelScores:
    return score_out_of_fold(
        dataset,
        FeatureCache(dataset, cache),
        dict.fromkeys(dataset.clips.folds, tuple(dataset.encoders)),
        "laplace",
        (0.3, 1.0),
        standardize="actor",
        target_actors="known",
    )


def test_scores_are_decoded_like_a_models(dataset: Dataset, tmp_path: Path) -> None:
    scores = scores_of(dataset, tmp_path / "cache")
    clips = dataset.clips
    outputs = scores.outputs(0.3)
    assert outputs.presence_logits.shape == (1, clips.n_source, clips.task.n_sets)
    np.testing.assert_allclose(outputs.fused.sum(-1), 1.0, rtol=1e-5)
    truth, fold = clips.state[: clips.n_source], clips.fold[: clips.n_source]
    predicted, _ = crossfit_decode(build_decoder(clips.task, "valid_states"), outputs, truth, fold)
    assert (predicted >= 0).all()


def test_labels_of_a_fold_cannot_change_its_scores(dataset: Dataset, tmp_path: Path) -> None:
    before = scores_of(dataset, tmp_path / "cache")
    mine = dataset.clips.fold == dataset.clips.folds[0]
    state = np.where(mine, dataset.clips.state[::-1].max(), dataset.clips.state)
    after = scores_of(replace(dataset, clips=replace(dataset.clips, state=state)), tmp_path / "cache")
    own = mine[: dataset.clips.n_source]
    for penalty in before.sets:
        np.testing.assert_array_equal(before.sets[penalty][own], after.sets[penalty][own])
        assert not np.array_equal(before.sets[penalty][~own], after.sets[penalty][~own])
