"""`rfe search` in a process of its own, with notes: when its first trials came to a worker, when the first epoch began,
and what the tracking thread took of the processor.

`python -m tests.benchmarks.noted_search FOLDER TRIALS`, with the data and `space.yaml` in FOLDER

It imports nothing that the command itself would not.
"""

import json
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from rfe.search.work import WorkItem
    from rfe.search.worker import Deliver, OnEpochEnd, WorkerSettings
    from rfe.training.engine import EpochLosses, Stack

TAKEN, BEGUN = "first-taken", "first-epoch"
"""Files beside the prepared features, each with seconds since 1970."""
LOOK_S = 0.25
"""How often the tracking thread's processor time is looked at."""


def run_search(folder: Path, trials: int) -> dict[str, float]:
    """The command, and beside it a look at the tracking thread."""
    from rfe.cli.program import main
    from rfe.search import driver

    import_ahead, found = driver._import_ahead, {"tracking_s": 0.0}

    def note_training(*given: Any) -> None:  # not before: it imports Ray, which the command does in this thread too
        import_ahead(*given)
        from rfe.search import fleet

        fleet.open_fleet = partial(fleet.open_fleet, train="tests.benchmarks.noted_search:train_stack")

    driver._import_ahead = note_training

    def look() -> None:
        while True:
            ids = {one.native_id for one in threading.enumerate() if one.name == "tracking"}
            mine = [one.user_time + one.system_time for one in psutil.Process().threads() if one.id in ids]
            found["tracking_s"] = max([found["tracking_s"], *mine])
            time.sleep(LOOK_S)

    threading.Thread(target=look, daemon=True).start()
    data, workspace = str(folder / "data"), str(folder / "workspace")
    sys.argv = ["rfe", "search", str(folder / "space.yaml"), "--data", data, "--workspace", workspace]
    sys.argv += ["--trials", str(trials), "--quiet"]
    with suppress(SystemExit):
        main()
    return found


def train_stack(
    items: "Sequence[WorkItem]", settings: "WorkerSettings", device: str, on_epoch_end: "OnEpochEnd", deliver: "Deliver"
) -> None:
    """A `TrainStack` that notes the first one, and its first epoch."""
    _note(settings.cache / TAKEN)
    from rfe.search import stack_training
    from rfe.training.engine import Stack

    train_epoch = Stack.train_epoch

    def noted(stack: "Stack") -> "EpochLosses":
        _note(settings.cache / BEGUN)
        Stack.train_epoch = train_epoch  # type: ignore[method-assign]
        return train_epoch(stack)

    Stack.train_epoch = noted  # type: ignore[method-assign]
    stack_training.train_stack(items, settings, device, on_epoch_end, deliver)


def _note(path: Path) -> None:
    """The time, unless another worker was earlier."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), path.open("x") as file:
        file.write(str(time.time()))


if __name__ == "__main__":
    print(json.dumps(run_search(Path(sys.argv[1]), int(sys.argv[2]))))
