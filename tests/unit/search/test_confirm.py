"""Fresh seeds are fresh, and seeds trained apart read like one configuration with several."""

from pathlib import Path

import numpy as np
import pytest

from rfe.config.load import change_config, flatten
from rfe.config.schema import Config
from rfe.data.dataset import load_dataset
from rfe.search.confirm import FIRST_FRESH_SEED, first_fresh_seed, merge_seeds, with_seed
from rfe.tracking.base import TrialLog
from tests.integration.fakes import fake_result, write_data


def log(**changes: int) -> TrialLog:
    names = {f"train.{name}": value for name, value in changes.items()}
    return TrialLog("s", 0, "complete", "id", flatten(change_config(Config(), names)))


def test_fresh_seeds_lie_beyond_all_that_were_used() -> None:
    assert first_fresh_seed([log(), log(seed=3, seeds=2)]) == FIRST_FRESH_SEED
    assert first_fresh_seed([log(), log(seed=2000, seeds=3)]) == 2003
    assert first_fresh_seed([log(data_seed=5000)]) == 5001


def test_a_fresh_seed_orders_the_data_too() -> None:
    config = with_seed(change_config(Config(), {"train.seeds": 4, "train.lr": 0.01}), 1001)
    assert (config.train.seed, config.train.seeds, config.train.data_seed) == (1001, 1, 1001)
    assert config.train.lr == 0.01


def test_merged_seeds_equal_one_configuration_with_several(tmp_path: Path) -> None:
    dataset = load_dataset(write_data(tmp_path / "data"))
    config = change_config(Config(), {"train.seed": 7, "train.seeds": 3})
    whole = fake_result(config, dataset)
    apart = [fake_result(change_config(config, {"train.seed": seed, "train.seeds": 1}), dataset) for seed in (7, 8, 9)]
    merged = merge_seeds(apart)
    for name in ("seeds", "predicted_state", "fused", "target_fused", "kept", "gate_scores"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name), name)
    np.testing.assert_allclose(merged.hits_presence, whole.hits_presence)
    assert merged.score == pytest.approx(whole.score)
    assert merged.acc_salience == pytest.approx(whole.acc_salience)
    assert merged.weights is not None
    assert merged.weights.keys() == (whole.weights or {}).keys()
