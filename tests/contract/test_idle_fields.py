"""Fields that are dropped as having no effect have none: what they tell apart trains to the same outputs.

One identity for two configurations means that the second is not trained, so this must hold of the engine itself.
"""

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


def train(configs: list[dict[str, Any]], dataset: Dataset, cache: FeatureCache) -> list[TrialResult]:
    results = train_configurations([load_config(SHORT | one) for one in configs], dataset, cache, keep_weights=False)
    assert [result.reason for result in results if result.state != "complete"] == []
    return results


def furthest(one: TrialResult, other: TrialResult) -> float:
    names = ("presence_logits", "salience_logits", "fused", "target_fused")
    # Logits of the classes come first; behind them, one of the two may have terms of pairs.
    arrays = [(getattr(one, name), getattr(other, name)) for name in names]
    widths = [min(a.shape[-1], b.shape[-1]) for a, b in arrays]
    return max(float(np.abs(a[..., :n] - b[..., :n]).max()) for (a, b), n in zip(arrays, widths, strict=True))


def test_configurations_of_one_identity_train_alike(dataset: Dataset, cache: FeatureCache) -> None:
    results = train([one for pair in ALIKE for one in pair], dataset, cache)
    for pair, one, other in zip(ALIKE, results[::2], results[1::2], strict=True):
        assert furthest(one, other) < 1e-4, pair
        assert one.score == pytest.approx(other.score), pair


def test_the_effective_configuration_trains_like_the_one_given(dataset: Dataset, cache: FeatureCache) -> None:
    given = [load_config(SHORT | one) for pair in ALIKE + DIFFERENT for one in pair]
    effective = [normalize(config, ENCODERS) for config in given]
    kept = [index for index in range(len(given)) if given[index] != effective[index]]
    results = train_configurations(
        [given[i] for i in kept] + [effective[i] for i in kept], dataset, cache, keep_weights=False
    )
    for index, one, other in zip(kept, results[: len(kept)], results[len(kept) :], strict=True):
        assert (one.state, other.state) == ("complete", "complete"), given[index]
        assert furthest(one, other) < 1e-4, given[index]


def test_the_comparison_sees_a_difference(dataset: Dataset, cache: FeatureCache) -> None:
    searched = [pair for pair in DIFFERENT if "head_fusion" not in str(pair) and "decode" not in str(pair)]
    results = train([one for pair in searched for one in pair], dataset, cache)
    for pair, one, other in zip(searched, results[::2], results[1::2], strict=True):
        assert furthest(one, other) > 1e-4, pair
