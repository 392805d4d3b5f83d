"""Fields that are dropped as having no effect have none: what they tell apart trains to the same outputs.

One identity for two configurations means that the second is not trained, so this must hold of the engine itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from rfe.config.load import load_config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.search_space import normalize
from rfe.training.configurations import train_configurations
from rfe.training.record import TrialResult
from tests.unit.data.folders import make_folder
from tests.unit.search_space.pairs import ALIKE, DIFFERENT, ENCODERS

SHORT = {"train.epochs": 2, "train.batch_size": 16, "model.latent_dim": 8, "train.lr": 0.01}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(make_folder(tmp_path_factory.mktemp("data") / "small", encoders=ENCODERS))


@pytest.fixture(scope="module")
def cache(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> FeatureCache:
    return FeatureCache(dataset, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def trained(dataset: Dataset, cache: FeatureCache) -> dict[str, TrialResult]:
    """Each configuration of the pairs, and the effective one of each, trained once for all tests."""
    given = [load_config(SHORT | one) for pair in ALIKE + DIFFERENT for one in pair]
    configs = {repr(config): config for config in (*given, *(normalize(one, ENCODERS) for one in given))}
    results = train_configurations(list(configs.values()), dataset, cache, keep_weights=False)
    return dict(zip(configs, results, strict=True))


Pairs = Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]


def results_of(pairs: Pairs, trained: dict[str, TrialResult]) -> Iterator[tuple[Any, TrialResult, TrialResult]]:
    for pair in pairs:
        one, other = (trained[repr(load_config(SHORT | fields))] for fields in pair)
        assert (one.state, other.state) == ("complete", "complete"), pair
        yield pair, one, other


def furthest(one: TrialResult, other: TrialResult) -> float:
    names = ("presence_logits", "salience_logits", "fused", "target_fused")
    # Logits of the classes come first; behind them, one of the two may have terms of pairs.
    arrays = [(getattr(one, name), getattr(other, name)) for name in names]
    widths = [min(a.shape[-1], b.shape[-1]) for a, b in arrays]
    return max(float(np.abs(a[..., :n] - b[..., :n]).max()) for (a, b), n in zip(arrays, widths, strict=True))


def test_configurations_of_one_identity_train_alike(trained: dict[str, TrialResult]) -> None:
    for pair, one, other in results_of(ALIKE, trained):
        assert furthest(one, other) < 1e-4, pair
        assert one.score == pytest.approx(other.score), pair


def test_the_effective_configuration_trains_like_the_one_given(trained: dict[str, TrialResult]) -> None:
    given = [load_config(SHORT | one) for pair in ALIKE + DIFFERENT for one in pair]
    changed = [(config, effective) for config in given if (effective := normalize(config, ENCODERS)) != config]
    assert changed
    for config, effective in changed:
        one, other = trained[repr(config)], trained[repr(effective)]
        assert (one.state, other.state) == ("complete", "complete"), config
        assert furthest(one, other) < 1e-4, config


def test_the_comparison_sees_a_difference(trained: dict[str, TrialResult]) -> None:
    searched = [pair for pair in DIFFERENT if "head_fusion" not in str(pair) and "decode" not in str(pair)]
    for pair, one, other in results_of(searched, trained):
        assert furthest(one, other) > 1e-4, pair
