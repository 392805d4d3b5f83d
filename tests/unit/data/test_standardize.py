import numpy as np
import pytest

from rfe.data.standardize import (
    LARGEST,
    SHRINKAGE,
    UNGROUPED,
    fit_preprocessing,
    fit_statistics,
    reduced_dim,
    standardize,
)

STREAM = np.random.default_rng(0)
VALUES = STREAM.normal(3, 2, (60, 8)).astype(np.float32)
ALONE = np.full(60, UNGROUPED)


def test_training_clips_get_mean_0_and_deviation_1() -> None:
    prepared = fit_preprocessing(VALUES, ALONE).apply(VALUES, ALONE)
    np.testing.assert_allclose(prepared.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(prepared.std(axis=0), 1, atol=1e-5)


def test_group_statistics_are_shrunk_toward_the_training_clips() -> None:
    fitted = fit_preprocessing(VALUES, ALONE)
    own = (VALUES[:7] * 3 + 10).astype(np.float32)
    prepared = fitted.apply(own, np.zeros(7, np.int64))
    mean = (7 * own.mean(0) + SHRINKAGE * fitted.mean) / (7 + SHRINKAGE)
    variance = (7 * own.var(0) + SHRINKAGE * fitted.variance) / (7 + SHRINKAGE)
    np.testing.assert_allclose(prepared, (own - mean) / np.sqrt(variance), rtol=1e-4, atol=1e-5)


def test_groups_do_not_touch_each_other() -> None:
    group = np.arange(60) % 4
    fitted = fit_preprocessing(VALUES, group)
    alone = fitted.apply(VALUES[group == 2], group[group == 2])
    np.testing.assert_array_equal(fitted.apply(VALUES, group)[group == 2], alone)


@pytest.mark.parametrize("unit", [1e-45, 1e-41, 1e-38, 1e-32])
@pytest.mark.parametrize("reduce", [None, 3])
def test_columns_too_small_to_divide_by_count_as_constant(unit: float, reduce: int | None) -> None:
    """A subnormal column became infinite, and scikit-learn's models ended in an internal error."""
    values = VALUES.copy()
    values[:, 2] = (VALUES[:, 2] * unit).astype(np.float32)
    fitted = fit_preprocessing(values, ALONE, reduce)
    assert fitted.variance[2] == 0
    other = values.copy()
    other[:, 2] = 5.0
    for group in (ALONE, np.zeros(60, np.int64), np.arange(60) % 7):
        assert np.isfinite(fitted.apply(other, group)).all()


def test_small_columns_are_standardised() -> None:
    prepared = fit_preprocessing((VALUES * 1e-20).astype(np.float32), ALONE).apply(VALUES * np.float32(1e-20), ALONE)
    np.testing.assert_allclose(prepared.std(axis=0), 1, atol=1e-4)


@pytest.mark.parametrize("unit", [1e20, 3e38])
@pytest.mark.parametrize("reduce", [None, 3])
def test_columns_of_the_largest_numbers_are_standardised(unit: float, reduce: int | None) -> None:
    """Their difference from the mean was infinite, and scikit-learn's models ended in an internal error."""
    signs = np.where(np.arange(60) % 3, 1, -1)
    values, small = VALUES.copy(), VALUES.copy()
    values[:, 2], small[:, 2] = (signs * unit).astype(np.float32), signs
    for group in (ALONE, np.zeros(60, np.int64), np.arange(60) % 7):
        prepared = fit_preprocessing(values, group, reduce).apply(values, group)
        expected = fit_preprocessing(small, group, reduce).apply(small, group)
        np.testing.assert_allclose(prepared, expected, rtol=1e-3, atol=1e-4)


def test_a_clip_beyond_what_float32_can_standardise_is_finite() -> None:
    """1e-29 in training beside 1e10 in another clip became infinite."""
    values = VALUES.copy()
    values[:, 2] *= 1e-29
    fitted = fit_preprocessing(values, ALONE)
    values[0, 2], values[1, 2] = 1e10, -3e38
    for group in (ALONE, np.arange(60) % 7):
        prepared = fitted.apply(values, group)
        assert np.isfinite(prepared).all()
        assert np.isfinite(prepared.astype(np.float32) ** 2).all()
    assert fitted.apply(values, ALONE)[:2, 2].tolist() == [np.float32(LARGEST), -np.float32(LARGEST)]


def test_features_of_an_ordinary_scale_keep_the_bits_of_float32() -> None:
    """Bundles, records and resumed studies hold such bits."""
    values = (VALUES * np.float32(100) + np.float32(1000)).astype(np.float32)
    mean, variance = fit_statistics(values)
    plain = (values - mean.astype(np.float32)) * (1 / np.sqrt(variance)).astype(np.float32)
    values[:, 2] = np.where(np.arange(60) % 3, 3e38, -3e38)
    kept = [column for column in range(8) if column != 2]
    np.testing.assert_array_equal(fit_preprocessing(values, ALONE).apply(values, ALONE)[:, kept], plain[:, kept])


def test_columns_that_are_constant_in_training_become_0_everywhere() -> None:
    values = VALUES.copy()
    values[:, 2] = 7.3
    fitted = fit_preprocessing(values, ALONE)
    for group in (ALONE, np.zeros(60, np.int64)):
        prepared = fitted.apply(VALUES, group)  # here the column varies
        assert np.isfinite(prepared).all()
        assert not prepared[:, 2].any()
        assert prepared[:, 3].any()


def test_a_group_of_one_clip_is_finite() -> None:
    fitted = fit_preprocessing(VALUES, ALONE)
    assert np.isfinite(fitted.apply(VALUES, np.arange(60))).all()


def test_offsets_far_above_the_spread_are_not_called_constant() -> None:
    values = (1000 + STREAM.normal(0, 0.1, (200, 1))).astype(np.float32)
    prepared = fit_preprocessing(values, np.full(200, UNGROUPED)).apply(values, np.full(200, UNGROUPED))
    assert prepared.std() == pytest.approx(1, abs=0.01)


def test_reduction_keeps_geometry_and_scale() -> None:
    low_rank = (STREAM.normal(size=(60, 3)) @ STREAM.normal(size=(3, 8))).astype(np.float32)
    fitted = fit_preprocessing(low_rank, ALONE, reduce=3)
    prepared = fitted.apply(low_rank, ALONE)
    assert prepared.shape == (60, 3)
    assert fitted.width == 3
    assert prepared.var(axis=0, ddof=1).mean() == pytest.approx(1, rel=1e-3)
    full = standardize(low_rank, ALONE, fitted.mean, fitted.variance)
    distance = np.linalg.norm(full[:20, np.newaxis] - full[np.newaxis, 20:40], axis=2)
    reduced = np.linalg.norm(prepared[:20, np.newaxis] - prepared[np.newaxis, 20:40], axis=2)
    np.testing.assert_allclose(reduced / distance, (reduced / distance).mean(), rtol=1e-3)


def test_reduction_of_narrow_encoders_and_few_clips() -> None:
    assert [reduced_dim(8, reduce) for reduce in (None, 3, 8, 20)] == [8, 3, 8, 8]
    plain, reduced = fit_preprocessing(VALUES, ALONE), fit_preprocessing(VALUES, ALONE, reduce=8)
    np.testing.assert_array_equal(reduced.apply(VALUES, ALONE), plain.apply(VALUES, ALONE))
    few = fit_preprocessing(VALUES[:4], ALONE[:4], reduce=6).apply(VALUES, ALONE)
    assert few.shape == (60, 6)
    assert np.isfinite(few).all()
    assert not few[:, 4:].any()
