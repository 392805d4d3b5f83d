"""A `TrainStack` that notes, beside the features it prepares, when the search's first trials came to a worker and when
the first epoch began."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rfe.search import stack_training
from rfe.search.work import WorkItem
from rfe.search.worker import Deliver, Tick, WorkerSettings
from rfe.training.engine import EpochLosses, Stack

TAKEN, BEGUN = "first-taken", "first-epoch"
TRAIN = f"{__name__}:train_stack"


def train_stack(items: Sequence[WorkItem], settings: WorkerSettings, device: str, tick: Tick, deliver: Deliver) -> None:
    """See the module."""
    _note(settings.cache / TAKEN)
    train_epoch = Stack.train_epoch

    def noted(stack: Stack) -> EpochLosses:
        _note(settings.cache / BEGUN)
        Stack.train_epoch = train_epoch  # type: ignore[method-assign]
        return train_epoch(stack)

    Stack.train_epoch = noted  # type: ignore[method-assign]
    stack_training.train_stack(items, settings, device, tick, deliver)


def _note(path: Path) -> None:
    """The time, seconds since 1970, unless another worker was earlier."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), path.open("x") as file:
        file.write(str(time.time()))
