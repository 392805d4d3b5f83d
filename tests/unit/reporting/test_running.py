"""Whether a study is worked on is told from the lock, and from the driver's own word."""

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from rfe.journal.journal import LOCK_FILE
from rfe.reporting.running import find_running
from rfe.tracking.live import SILENT_S, LiveStatus
from rfe.workspace import StudyFolder
from rfe.writing import write_json

ALIVE = LiveStatus("s1", socket.gethostname(), os.getpid(), 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    (tmp_path / "s").mkdir()
    return StudyFolder(tmp_path / "s")


def _say(folder: StudyFolder, live: LiveStatus, ago_s: float = 0.0) -> None:
    write_json(folder.live, replace(live, time=time.time() - ago_s).to_dict())


def test_a_held_lock_is_work_of_somebody_unknown(folder: StudyFolder) -> None:
    assert find_running(folder) is None
    with FileLock(folder.path / LOCK_FILE):
        live = find_running(folder)
        assert live is not None
        assert live.session == ""
    assert find_running(folder) is None


def test_a_driver_of_this_machine_must_hold_the_lock(folder: StudyFolder) -> None:
    """Its number may have been given to another process: before, that one passed for the driver."""
    _say(folder, ALIVE)
    assert find_running(folder) is None
    with FileLock(folder.path / LOCK_FILE):
        live = find_running(folder)
    assert live is not None
    assert (live.session, live.pid) == ("s1", os.getpid())


def test_a_silent_driver_runs_as_long_as_it_holds_the_lock(folder: StudyFolder) -> None:
    _say(folder, ALIVE, ago_s=SILENT_S + 5)
    assert find_running(folder) is None
    with FileLock(folder.path / LOCK_FILE):
        live = find_running(folder)
        assert live is not None
        assert live.session == "s1"


def test_a_driver_elsewhere_is_believed_for_a_minute(folder: StudyFolder) -> None:
    _say(folder, replace(ALIVE, host="elsewhere", pid=1))
    assert find_running(folder) is not None
    _say(folder, replace(ALIVE, host="elsewhere", pid=1), ago_s=SILENT_S + 5)
    assert find_running(folder) is None
