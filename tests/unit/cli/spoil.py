"""Ways to spoil what stands in the current folder before a command: data, files of settings, the machine."""

import csv
import errno
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

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


def rename_column(rows: list[dict[str, str]]) -> None:
    for row in rows:
        row["take"] = row.pop("video_id")


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
