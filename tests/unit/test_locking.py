"""Locks hold, or say that they cannot: two processes must not open one study."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from filelock import Timeout

from rfe.errors import ConfigError
from rfe.journal.journal import LOCK_FILE, Journal
from rfe.locking import NO_LOCKS, acquire_lock, hold_lock
from rfe.reporting.running import find_running
from rfe.study import StudyStore
from rfe.workspace import StudyFolder
from tests.unit.study.test_store import define


def lose_flock(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", flock)


def test_a_lock_is_held_by_one_and_free_after_the_block(tmp_path: Path) -> None:
    with hold_lock(tmp_path / "lock"), pytest.raises(Timeout):
        acquire_lock(tmp_path / "lock", 0.0)
    acquire_lock(tmp_path / "lock", 0.0).release()


@pytest.mark.parametrize("code", NO_LOCKS)
def test_a_file_system_without_locks_is_refused(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """filelock's fallback would delete the file of another process's lock and go on with an existence lock."""
    (tmp_path / "lock").write_text("")
    inode = (tmp_path / "lock").stat().st_ino
    lose_flock(monkeypatch, code)
    with pytest.raises(ConfigError, match=r"no file locks .*mount it with `flock`, .* with RFE_CACHE") as raised:
        acquire_lock(tmp_path / "lock", 0.0, instead="RFE_CACHE")
    assert str(tmp_path) in str(raised.value)
    assert (tmp_path / "lock").stat().st_ino == inode


def test_no_study_is_opened_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_flock(monkeypatch, errno.ENOSYS)
    with pytest.raises(ConfigError, match="no file locks"):
        StudyStore.open(tmp_path / "s", define())
    assert [path.name for path in (tmp_path / "s").iterdir()] == [LOCK_FILE]
    with pytest.raises(ConfigError, match="no file locks"):
        Journal(StudyFolder(tmp_path / "s"))
    assert find_running(StudyFolder(tmp_path / "s")) is None  # it is not called running for want of an answer


def test_other_errors_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_flock(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        acquire_lock(tmp_path / "lock", 0.0)


def test_every_lock_of_the_program_is_such_a_one() -> None:
    package: Any = Path(__file__).parents[2] / "rfe"
    users = [path for path in package.rglob("*.py") if "FileLock(" in path.read_text(encoding="utf-8")]
    assert [path.name for path in users] == ["locking.py"]
