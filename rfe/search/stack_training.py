"""What a worker does with the items it took: opens their data and trains them as one stack."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.remote import local_folder
from rfe.search.work import WorkItem
from rfe.search.worker import Deliver, Tick, WorkerSettings
from rfe.training.configurations import EpochReport, Stop, train_configurations
from rfe.training.record import Checkpoint


def train_stack(items: Sequence[WorkItem], settings: WorkerSettings, device: str, tick: Tick, deliver: Deliver) -> None:
    """A `TrainStack` that trains with `rfe.training`."""
    configs = [Config.model_validate(item.config) for item in items]
    dataset, cache = _open_data(items[0].data, items[0].encoders, settings.cache)

    def on_epoch(reports: list[EpochReport]) -> dict[int, Stop]:
        by_key = {items[report.index].key: report for report in reports}

        def checkpoint(key: str) -> Checkpoint | None:
            report = by_key[key]
            # The best epoch so far, which this protocol answers with, is not in a checkpoint
            return None if configs[report.index].protocol == "official" else report.checkpoint()

        ends = tick({key: report.epoch for key, report in by_key.items()}, checkpoint)
        return {by_key[key].index: Stop("failed", reason) for key, reason in ends.items()}

    train_configurations(
        configs,
        dataset,
        cache,
        device=device,
        threads=settings.threads,
        on_epoch=on_epoch,
        on_result=lambda index, result: deliver(items[index].key, result),
        checkpoints={index: item.checkpoint for index, item in enumerate(items) if item.checkpoint is not None},
    )


@lru_cache(maxsize=4)
def _open_data(path: str, encoders: tuple[str, ...] | None, cache: Path) -> tuple[Dataset, FeatureCache]:
    dataset = load_dataset(local_folder(path, cache), encoders)
    return dataset, FeatureCache(dataset, cache)
