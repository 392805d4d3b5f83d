"""What a worker does with the items it took: opens their data and trains them as one stack."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.remote import local_folder
from rfe.search.work import WorkItem
from rfe.search.worker import Deliver, OnEpochEnd, WorkerSettings
from rfe.training.batches import FeatureBank
from rfe.training.configurations import train_configurations
from rfe.training.record import EpochReport, Stop


def train_stack(
    items: Sequence[WorkItem], settings: WorkerSettings, device: str, on_epoch_end: OnEpochEnd, deliver: Deliver
) -> None:
    """A `TrainStack` that trains with `rfe.training`."""
    configs = [Config.model_validate(item.config) for item in items]
    dataset, bank = _open_bank(items[0].data, items[0].encoders, settings.cache, device)

    place = {item.key: index for index, item in enumerate(items)}

    def on_epoch(reports: Mapping[int, EpochReport]) -> dict[int, Stop]:
        stops = on_epoch_end({items[index].key: report for index, report in reports.items()})
        return {place[key]: stop for key, stop in stops.items()}

    train_configurations(
        configs,
        dataset,
        bank,
        device=device,
        threads=settings.threads,
        on_epoch=on_epoch,
        on_result=lambda index, result: deliver(items[index].key, result),
        checkpoints={index: item.checkpoint for index, item in enumerate(items) if item.checkpoint is not None},
        parts={index: item.part for index, item in enumerate(items) if item.part is not None},
        scored_epochs={index: item.rungs for index, item in enumerate(items)},
    )


@lru_cache(maxsize=1)
def _open_bank(path: str, encoders: tuple[str, ...] | None, cache: Path, device: str) -> tuple[Dataset, FeatureBank]:
    """The features that stacks share one after the other, so that a GPU has them copied once."""
    dataset, prepared = _open_data(path, encoders, cache)
    return dataset, FeatureBank(dataset, prepared, torch.device(device))


@lru_cache(maxsize=4)
def _open_data(path: str, encoders: tuple[str, ...] | None, cache: Path) -> tuple[Dataset, FeatureCache]:
    dataset = load_dataset(local_folder(path, cache), encoders)
    return dataset, FeatureCache(dataset, cache)
