"""Checkpoint files: what is written is read again, and what does not fit is left alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rfe.search.checkpoints import load_checkpoint, remove_checkpoint, save_checkpoint
from rfe.search.work import WorkItem
from rfe.training.record import Checkpoint, ReplicaState


def _item(tmp_path: Path) -> WorkItem:
    return WorkItem("s/3", {"train": {"lr": 0.1}}, "/data", checkpoint_file=str(tmp_path / "checkpoints" / "3.npz"))


def _checkpoint() -> Checkpoint:
    replicas = [ReplicaState(epoch, {"value/gate.weight": np.full((2, 3), epoch, np.float32)}) for epoch in (4, 5)]
    best = {"score": np.array([[0.25, np.nan]]), "fused": np.zeros((1, 2, 6), np.float32)}
    return Checkpoint(4, replicas, {"score": [(2, 0.5), (4, float("nan"))]}, 1.5, best)


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    item, written = _item(tmp_path), _checkpoint()
    save_checkpoint(item, written)
    read = load_checkpoint(item)
    assert read is not None
    assert (read.epoch, read.seconds, [replica.epoch for replica in read.replicas]) == (4, 1.5, [4, 5])
    np.testing.assert_equal(read.curves, written.curves)
    np.testing.assert_equal(read.best, written.best)
    for one, other in zip(read.replicas, written.replicas, strict=True):
        np.testing.assert_equal(one.arrays, other.arrays)
    remove_checkpoint(item)
    assert load_checkpoint(item) is None
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_another_configurations_checkpoint_and_a_damaged_one_are_not_gone_on_with(tmp_path: Path) -> None:
    item = _item(tmp_path)
    save_checkpoint(item, _checkpoint())
    assert load_checkpoint(replace(item, config={"train": {"lr": 0.2}})) is None
    path = Path(item.checkpoint_file)
    path.write_bytes(path.read_bytes()[:100])
    assert load_checkpoint(item) is None


def test_a_checkpoint_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    save_checkpoint(_item(tmp_path), _checkpoint())
    assert load_checkpoint(_item(tmp_path)) is None
