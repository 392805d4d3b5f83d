"""Features of another scale are described; those of other people are not."""

import numpy as np

from rfe.data.scale import describe_scale

STREAM = np.random.default_rng(0)
TRAINING = (STREAM.normal(3, 1, 8) + STREAM.normal(0, [0.2, 0.5, 1, 2, 5, 10, 50, 200], (500, 8))).astype(np.float32)
MEAN, VARIANCE = TRAINING.mean(0, dtype=np.float64), TRAINING.var(0, dtype=np.float64)


def test_features_of_the_same_kind_are_of_the_scale() -> None:
    deviation = np.sqrt(VARIANCE).astype(np.float32)
    for other in (TRAINING[:1], TRAINING[:30], TRAINING[:30] + 2 * deviation, MEAN + 0.4 * (TRAINING - MEAN)):
        assert describe_scale(other.astype(np.float32), MEAN, VARIANCE) is None
    assert describe_scale(TRAINING[:0], MEAN, VARIANCE) is None
    assert describe_scale(TRAINING, MEAN, np.zeros(8)) is None


def test_another_unit_and_standardised_features_are_described() -> None:
    assert describe_scale(TRAINING * 1000, MEAN, VARIANCE) is not None
    assert describe_scale(TRAINING[:3] * 1000, MEAN, VARIANCE) is not None
    told = describe_scale(MEAN.astype(np.float32) + (TRAINING - MEAN.astype(np.float32)) / 100, MEAN, VARIANCE)
    assert told is not None
    assert told.endswith("and spread 0.01 times as wide")
    wide = np.full(8, 1e4)
    assert describe_scale(((TRAINING - MEAN) / np.sqrt(VARIANCE)).astype(np.float32), MEAN, wide) is not None


def test_a_column_that_was_constant_is_not_looked_at() -> None:
    values = np.concatenate([TRAINING, np.full((len(TRAINING), 1), 1e30, np.float32)], axis=1)
    assert describe_scale(values, np.append(MEAN, 0.0), np.append(VARIANCE, 0.0)) is None
