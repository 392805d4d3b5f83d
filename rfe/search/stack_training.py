"""What a worker does with the items it took: opens their data and trains them as one stack."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.search.work import WorkItem
from rfe.search.worker import Deliver, Tick, WorkerSettings
from rfe.training.configurations import EpochReport, Stop, train_configurations


def train_stack(items: Sequence[WorkItem], settings: WorkerSettings, device: str, tick: Tick, deliver: Deliver) -> None:
    """A `TrainStack` that trains with `rfe.training`."""
    dataset, cache = _open_data(items[0].data, items[0].encoders, settings.cache)

    def on_epoch(reports: list[EpochReport]) -> dict[int, Stop]:
        ends = tick({items[report.index].key: report.epoch for report in reports})
        return {
            report.index: Stop("failed", ends[items[report.index].key])
            for report in reports
            if items[report.index].key in ends
        }

    train_configurations(
        [Config.model_validate(item.config) for item in items],
        dataset,
        cache,
        device=device,
        threads=settings.threads,
        on_epoch=on_epoch,
        on_result=lambda index, result: deliver(items[index].key, result),
    )


@lru_cache(maxsize=4)
def _open_data(path: str, encoders: tuple[str, ...] | None, cache: Path) -> tuple[Dataset, FeatureCache]:
    dataset = load_dataset(Path(path), encoders)
    return dataset, FeatureCache(dataset, cache)
