"""A configuration that is ended while its stack trains: what is left trains as if it were still there."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.training.configurations import train_configurations
from rfe.training.record import EpochReport, Stop
from tests.unit.training.test_configurations import _config, data  # noqa: F401


@pytest.mark.parametrize("ended", [0, 1, 2])
def test_results_are_as_without_it(ended: int, data: tuple[Dataset, FeatureCache]) -> None:  # noqa: F811
    dataset, cache = data
    changes: list[dict[str, Any]] = [{}, {"train__lr": 5e-4}, {"model__n_kept": 1}]
    configs = [_config(**change) for change in changes]
    whole = train_configurations(configs, dataset, cache)

    def prune(reports: Mapping[int, EpochReport]) -> dict[int, Stop]:
        return {ended: Stop("pruned", "pruned by the user")} if ended in reports and reports[ended].epoch == 2 else {}

    fewer = train_configurations(configs, dataset, cache, on_epoch=prune)
    assert fewer[ended].state == "pruned"
    for index in {0, 1, 2} - {ended}:
        # to rounding: matrix products of a smaller batch add up in another order on a CPU
        np.testing.assert_allclose(fewer[index].fused, whole[index].fused, atol=1e-6)
        np.testing.assert_array_equal(fewer[index].predicted_state, whole[index].predicted_state)
        assert fewer[index].score == whole[index].score
