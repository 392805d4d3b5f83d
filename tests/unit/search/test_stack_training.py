"""What a worker does with items: real training, its checkpoints, and going on from them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.simulate import SimulationSpec, simulate
from rfe.search.stack_training import train_stack
from rfe.search.work import WorkItem
from rfe.search.worker import WorkerSettings
from rfe.training.record import Checkpoint, EpochReport, Stop, TrialResult


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack")
    return simulate(SimulationSpec(actors=10, test_actors=0, clips_per_actor=12, seed=2), folder / "sim")


def _items(folder: Path, checkpoints: Mapping[str, Checkpoint] | None = None) -> list[WorkItem]:
    changes = {"model.latent_dim": 8, "train.epochs": 4, "train.batch_size": 32, "decode.kind": "official"}
    configs = [change_config(Config(), {**changes, "train.lr": lr}) for lr in (1e-3, 3e-3)]
    saved = checkpoints or {}
    return [
        WorkItem(f"s/{n}", config.model_dump(), str(folder), checkpoint=saved.get(f"s/{n}"))
        for n, config in enumerate(configs)
    ]


def test_a_stack_that_was_lost_goes_on_from_its_checkpoints(folder: Path, tmp_path: Path) -> None:
    settings = WorkerSettings("", tmp_path / "cache", 4)
    saved: dict[str, Checkpoint] = {}
    whole: dict[str, TrialResult] = {}
    resumed: dict[str, TrialResult] = {}
    first_epochs = []

    def save_second(reports: Mapping[str, EpochReport]) -> dict[str, Stop]:
        saved.update({key: one.checkpoint() for key, one in reports.items() if one.epoch == 2 and one.checkpoint})
        return {}

    def watch(reports: Mapping[str, EpochReport]) -> dict[str, Stop]:
        first_epochs.append({key: report.epoch for key, report in reports.items()})
        return {}

    train_stack(_items(folder), settings, "cpu", save_second, whole.__setitem__)
    assert sorted(saved) == ["s/0", "s/1"]
    train_stack(_items(folder, saved), settings, "cpu", watch, resumed.__setitem__)
    assert first_epochs[0] == {"s/0": 3, "s/1": 3}
    for key, result in whole.items():
        np.testing.assert_allclose(resumed[key].fused, result.fused, atol=1e-4)
        assert resumed[key].score == pytest.approx(result.score, abs=0.02)
