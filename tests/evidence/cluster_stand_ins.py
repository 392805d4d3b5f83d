"""What stands in for training where only the search around it is measured."""

import os
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from rfe.config.schema import Config
from rfe.data.dataset import Dataset, load_dataset
from rfe.search.work import WorkItem
from rfe.search.worker import Deliver, OnEpochEnd, WorkerSettings
from rfe.training.record import EpochReport
from tests.integration.fakes import fake_result

SLEEP_S = 2.0
WORKERS = "workers.txt"
"""File of the cache folder: how many workers there are; none trains before all have come."""


def sleep_stack(
    items: Sequence[WorkItem], settings: WorkerSettings, device: str, on_epoch_end: OnEpochEnd, deliver: Deliver
) -> None:
    """A `TrainStack` that sleeps `SLEEP_S` for its stack and answers from the configuration."""
    _await_all(settings.cache)
    time.sleep(SLEEP_S)
    answer_stack(items, settings, device, on_epoch_end, deliver)


def answer_stack(
    items: Sequence[WorkItem], settings: WorkerSettings, device: str, on_epoch_end: OnEpochEnd, deliver: Deliver
) -> None:
    """A `TrainStack` that answers at once."""
    on_epoch_end({item.key: EpochReport(1, 1) for item in items})
    for item in items:
        deliver(item.key, fake_result(Config.model_validate(item.config), _open(item.data)))


@lru_cache(maxsize=1)
def _open(data: str) -> Dataset:
    return load_dataset(Path(data))


def _await_all(folder: Path) -> None:
    wanted = int((folder / WORKERS).read_text())
    (folder / f"started-{os.getpid()}").touch()
    while len(list(folder.glob("started-*"))) < wanted:
        time.sleep(0.05)
