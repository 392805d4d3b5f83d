"""Combined kernels: their equations, what a missing encoder does, and weights by alignment."""

from collections.abc import Mapping

import numpy as np
import pytest

from rfe.model.fitted import PoolFeatures
from rfe.model.kernels import CombinedKernel, aligned_weights, median_distance
from rfe.task import BLEMORE


def draw(n: int, dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def features(missing: Mapping[str, np.ndarray] | None = None, n: int = 300) -> PoolFeatures:
    values = {"face": draw(n, 4, 0), "voice": draw(n, 9, 1)}
    available = {name: np.ones(n, bool) for name in values}
    for name, gone in (missing or {}).items():
        available[name][gone] = False
        values[name][gone] = 0.0
    return PoolFeatures(values, available)


def expected(kind: str, values: np.ndarray, bandwidth: float) -> np.ndarray:
    distance = np.linalg.norm(values[:, None].astype(np.float64) - values[None], axis=-1)
    return np.exp(-(distance**2) / (2 * bandwidth**2)) if kind == "gaussian" else np.exp(-distance / bandwidth)


@pytest.mark.parametrize("kind", ["gaussian", "laplace"])
def test_the_combined_kernel_is_the_equation(kind: str) -> None:
    clips, bandwidths, weights = features(), {"face": 2.0, "voice": 3.0}, {"face": 3.0, "voice": 1.0}
    face, voice = (expected(kind, clips.values[name], bandwidths[name]) for name in clips.values)
    total = CombinedKernel(kind, "sum", bandwidths, weights).between(clips, clips.take(slice(0, 200)))
    np.testing.assert_allclose(total, (0.75 * face + 0.25 * voice)[:, :200], atol=2e-3)
    product = CombinedKernel(kind, "product", bandwidths, weights).between(clips, clips)
    np.testing.assert_allclose(product, face**0.75 * voice**0.25, atol=2e-3)


@pytest.mark.parametrize("combination", ["sum", "product"])
def test_the_lower_triangle_is_that_of_the_whole(combination: str) -> None:
    clips = features({"voice": np.arange(0, 300, 5)})
    kernel = CombinedKernel("gaussian", combination, {"face": 2.0, "voice": 3.0}, {"face": 1.0, "voice": 2.0})
    whole, lower = kernel.between(clips, clips), kernel.lower_triangle(clips)
    np.testing.assert_allclose(np.tril(lower), np.tril(whole), atol=1e-6)


@pytest.mark.parametrize("kind", ["gaussian", "laplace"])
@pytest.mark.parametrize("combination", ["sum", "product"])
def test_it_is_a_kernel_though_encoders_are_missing(kind: str, combination: str) -> None:
    """The mean over the encoders that two clips share, which stood here before, has negative eigenvalues."""
    clips = features({"voice": np.arange(0, 300, 2), "face": np.arange(1, 300, 4)})
    kernel = CombinedKernel(kind, combination, {"face": 2.0, "voice": 3.0}, {"face": 1.0, "voice": 1.0})
    found = kernel.between(clips, clips).astype(np.float64)
    np.testing.assert_allclose(np.diag(found), 1.0, atol=2e-3)
    assert np.linalg.eigvalsh((found + found.T) / 2)[0] > -2e-3


def test_a_missing_encoder_is_left_out_of_the_sum() -> None:
    clips = features({"voice": np.arange(0, 300, 5)})
    kernel = CombinedKernel("gaussian", "sum", {"face": 2.0, "voice": 3.0}, {"face": 1.0, "voice": 1.0})
    found, face = kernel.between(clips, clips), expected("gaussian", clips.values["face"], 2.0)
    np.testing.assert_allclose(found[5, ::5], face[5, ::5], atol=1e-5)  # both have the face only
    np.testing.assert_allclose(found[5, 1], face[5, 1] / 2 / np.sqrt(0.5), atol=1e-5)


def test_a_clip_without_any_encoder_is_like_none() -> None:
    clips = features({"voice": np.array([3]), "face": np.array([3])})
    kernel = CombinedKernel("gaussian", "sum", {"face": 2.0, "voice": 3.0}, {"face": 1.0, "voice": 1.0})
    assert not kernel.between(clips, clips)[3].any()


def test_the_median_distance() -> None:
    values = draw(300, 4, 0)
    distance = np.linalg.norm(values[:, None] - values[None], axis=-1)[np.triu_indices(300, 1)]
    assert median_distance(values) == pytest.approx(np.median(distance), rel=1e-5)
    assert median_distance(np.ones((5, 3), np.float32)) == 1.0
    assert median_distance(values[:1]) == 1.0


def test_alignment_weighs_encoders_by_what_they_tell_of_the_labels() -> None:
    state = np.random.default_rng(3).integers(0, BLEMORE.n_states, 300)
    soft = BLEMORE.state_salience[state]
    values = {
        "strong": soft @ draw(6, 8, 0) + 0.3 * draw(300, 8, 1),
        "weak": 0.5 * soft @ draw(6, 8, 2) + draw(300, 8, 3),
        "noise": draw(300, 8, 4),
    }
    clips = PoolFeatures(values, {name: np.ones(300, bool) for name in values})
    bandwidths = {name: median_distance(one) for name, one in values.items()}
    weights = aligned_weights("gaussian", bandwidths, clips, soft.astype(np.float64))
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["strong"] > weights["weak"] > weights["noise"] >= 0
    alike = PoolFeatures(
        {name: np.ones((300, 2), np.float32) for name in values}, {name: np.ones(300, bool) for name in values}
    )
    even = aligned_weights("gaussian", dict.fromkeys(values, 1.0), alike, soft.astype(np.float64))
    assert set(even.values()) == {1 / 3}  # nothing to choose by
