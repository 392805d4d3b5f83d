"""Files and folders are whole, or are not there."""

import errno
import json
from pathlib import Path

import pytest

from rfe.writing import fill_folder, write_beside, write_files, write_json


def test_write_beside_leaves_the_old_file_when_the_writer_fails(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.json"
    write_json(path, {"a": 1})

    def fail_half_way() -> None:
        with write_beside(path) as beside:
            assert beside.suffix == ".json"
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["result.json"]


def test_a_full_disk_is_said_of_the_file_that_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as said:
        write_json(tmp_path / "a.json", {})
    assert said.value.filename == str(tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_filled_at_once_or_not_at_all(tmp_path: Path) -> None:
    for folder in (tmp_path / "new", tmp_path / "there"):
        if folder.name == "there":
            folder.mkdir()
        with pytest.raises(IsADirectoryError), fill_folder(folder) as scratch:
            scratch.write_text("it is a folder")
        assert not folder.exists() or not list(folder.iterdir())
        inode = folder.stat().st_ino if folder.exists() else None
        with fill_folder(folder) as scratch:
            (scratch / "a").write_text("whole")
        assert [path.name for path in folder.iterdir()] == ["a"]
        assert inode in (None, folder.stat().st_ino)  # a mount, or where the shell is
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "there"]


def test_files_are_written_together(tmp_path: Path) -> None:
    write_files(tmp_path / "new", {"a.csv": b"1", "b.npz": b"2"})
    write_files(tmp_path / "new", {"a.csv": b"3"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {"a.csv": b"3", "b.npz": b"2"}


def test_files_that_cannot_be_written_leave_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, {"a.csv": b"1"})

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        write_files(tmp_path, {"a.csv": b"2", "b.csv": b"2"})
    assert raised.value.filename == str(tmp_path / "a.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_bytes() == b"1"
