"""Ways to spoil what stands in the current folder before a command: data, files of settings, the machine."""

import csv
import errno
import io
import os
import re
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rfe import api
from rfe.tracking import ui
from rfe.tracking.access import LOOPBACK

SPACE = "study: s\nbudget: {trials: 2}\nspace: {train.lr: {float: [1.0e-4, 1.0e-2], log: true}}\n"
Spoil = Callable[[pytest.MonkeyPatch], object]


def begin(*_: object, **__: object) -> None:
    raise AssertionError("a study was begun")


def write(name: str, content: str | bytes) -> Spoil:
    raw = content if isinstance(content, bytes) else content.encode()

    def spoil(_: pytest.MonkeyPatch) -> None:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(raw)

    return spoil


def space(*lines: str, **changes: str) -> Spoil:
    """`my.yaml`: the space above with other or further lines."""
    text = SPACE
    for old, new in changes.items():
        text = re.sub(rf"(?m)^{old}: .*$", f"{old}: {new}", text)
    return write("my.yaml", text + "".join(f"{line}\n" for line in lines))


def clips(change: Callable[[list[dict[str, str]]], object]) -> Spoil:
    """The metadata with other rows."""

    def spoil(_: pytest.MonkeyPatch) -> None:
        path = Path("data/metadata.csv")
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        change(rows)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    return spoil


def training(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in rows if row["split"] == "train"]


def rename_column(rows: list[dict[str, str]]) -> None:
    for row in rows:
        row["take"] = row.pop("video_id")


def keep_one_actor(rows: list[dict[str, str]]) -> None:
    rows[:] = [row for row in training(rows) if row["video_id"] == "A0"]


def features(**arrays: Callable[[NDArray[Any]], NDArray[Any]]) -> Spoil:
    """The encoder `good` with other arrays."""

    def spoil(_: pytest.MonkeyPatch) -> None:
        path = Path("data/good_static_features.npz")
        with np.load(path) as stored:
            known = dict(stored)
        np.savez(path, **{name: make(known[name]) for name, make in arrays.items()})

    return spoil


def with_nan(values: NDArray[Any]) -> NDArray[Any]:
    values[5, 2] = np.nan
    return values


def claim(shape: str) -> Spoil:
    """The encoder `good` with a header that claims `shape`."""

    def spoil(_: pytest.MonkeyPatch) -> None:
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
        lying = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
        names = io.BytesIO()
        np.save(names, np.array(["a", "b"]))
        with zipfile.ZipFile("data/good_static_features.npz", "w") as archive:
            archive.writestr("X.npy", lying)
            archive.writestr("filenames.npy", names.getvalue())

    return spoil


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)


def take_port(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = socket.socket()
    taken.bind((LOOPBACK, 45_871))
    taken.listen()
    monkeypatch.setattr(ui, "PORTS_TRIED", 1)
    monkeypatch.setattr(ui, "_taken", taken, raising=False)  # open until the test ends


def raises(error: BaseException) -> Spoil:
    def check_data(folder: Path) -> None:
        raise error

    return lambda monkeypatch: monkeypatch.setattr(api, "check_data", check_data)


def cut(name: str, kept: int) -> Spoil:
    return lambda _: Path(name).write_bytes(Path(name).read_bytes()[:kept])
