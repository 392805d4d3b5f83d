"""Where checkpoints of unfinished items lie: in the study's folder, so that they outlive queue, workers and driver.

Only the queue writes them. They are scratch: one that cannot be written or read costs training time, nothing else.
"""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from rfe.search.work import WorkItem
from rfe.training.record import Checkpoint, ReplicaState
from rfe.writing import write_beside

log = logging.getLogger(__name__)


def save_checkpoint(item: WorkItem, checkpoint: Checkpoint) -> None:
    """Keep it in place of an earlier one; nothing for an item without a file."""
    if not item.checkpoint_file:
        return
    path = Path(item.checkpoint_file)
    try:
        with write_beside(path) as beside:
            np.savez(beside, **_to_arrays(item, checkpoint))
    except OSError as error:
        log.warning("checkpoint %s could not be written: %s", path, error)


def load_checkpoint(item: WorkItem) -> Checkpoint | None:
    """The last one; None where there is none of this very configuration, or it cannot be read."""
    if not item.checkpoint_file:
        return None
    try:
        with np.load(item.checkpoint_file, allow_pickle=False) as arrays:
            return _from_arrays(item, dict(arrays))
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged zip raises whatever it likes
        log.warning("checkpoint %s could not be read: %s", item.checkpoint_file, error)
        return None


def remove_checkpoint(item: WorkItem) -> None:
    """The item ended."""
    if item.checkpoint_file:
        Path(item.checkpoint_file).unlink(missing_ok=True)


def _to_arrays(item: WorkItem, checkpoint: Checkpoint) -> dict[str, Any]:
    arrays: dict[str, Any] = {f"best/{name}": value for name, value in checkpoint.best.items()}
    for index, replica in enumerate(checkpoint.replicas):
        arrays |= {f"{index}/{name}": value for name, value in replica.arrays.items()}
    about = {
        "config": _digest(item),
        "epoch": checkpoint.epoch,
        "replicas": [replica.epoch for replica in checkpoint.replicas],
        "curves": checkpoint.curves,
        "seconds": checkpoint.seconds,
    }
    return {"about": np.array(json.dumps(about)), **arrays}


def _from_arrays(item: WorkItem, arrays: dict[str, Any]) -> Checkpoint | None:
    about = json.loads(str(arrays.pop("about")))
    if about["config"] != _digest(item):
        return None
    groups: dict[str, dict[str, Any]] = {}
    for address, value in arrays.items():
        group, _, name = address.partition("/")
        groups.setdefault(group, {})[name] = value
    replicas = [ReplicaState(epoch, groups.get(str(index), {})) for index, epoch in enumerate(about["replicas"])]
    curves = {name: [(int(epoch), float(value)) for epoch, value in curve] for name, curve in about["curves"].items()}
    return Checkpoint(about["epoch"], replicas, curves, about["seconds"], groups.get("best", {}))


def _digest(item: WorkItem) -> str:
    about = [item.config, None if item.part is None else item.part.folds]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
