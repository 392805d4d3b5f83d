import numpy as np
import pytest

from rfe.data.statistics import STATISTIC_NAMES, batch_statistics, clip_statistics


def test_agrees_with_numpy() -> None:
    series = np.random.default_rng(0).normal(3.0, 2.0, (37, 5)).astype(np.float32)
    expected = np.concatenate(
        [series.mean(axis=0), series.std(axis=0), *np.percentile(series, [10, 25, 50, 75, 90], axis=0)]
    )
    np.testing.assert_allclose(clip_statistics(series), expected, rtol=1e-5)
    assert len(expected) == 5 * len(STATISTIC_NAMES)


def test_a_batch_is_its_clips() -> None:
    series = np.random.default_rng(1).normal(size=(4, 20, 3)).astype(np.float32)
    np.testing.assert_array_equal(batch_statistics(series), np.stack([clip_statistics(clip) for clip in series]))


def test_one_frame_has_no_spread() -> None:
    features = clip_statistics(np.array([[2.0, -1.0]])).reshape(7, 2)
    assert (features[1] == 0).all()
    assert (features[[0, 2, 3, 4, 5, 6]] == [2.0, -1.0]).all()


def test_a_large_mean_keeps_a_small_spread() -> None:
    series = (1e4 + np.random.default_rng(2).normal(size=(5000, 1))).astype(np.float32)
    assert clip_statistics(series)[1] == pytest.approx(series.astype(np.float64).std(), rel=1e-4)


def test_a_hole_shows_in_its_channel_only() -> None:
    series = np.ones((10, 2), np.float32)
    series[3, 0] = np.nan
    features = clip_statistics(series).reshape(7, 2)
    assert np.isnan(features[:, 0]).all()
    assert np.isfinite(features[:, 1]).all()


@pytest.mark.parametrize("shape", [(5,), (0, 3)])
def test_refuses_what_has_no_time(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="series"):
        clip_statistics(np.zeros(shape, np.float32))
