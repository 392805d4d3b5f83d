"""The live status of a running study: written by its process, read by others, and a way to ask it to stop.

Two small files in the study's folder, which any process that sees the folder can read and write; a tracker shows the
first one to those who do not see it, and passes their wish to stop on as the second.
"""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from rfe.progress import Progress, SearchStatus
from rfe.workspace import StudyFolder
from rfe.writing import PlainRecord, write_json

BEAT_S = 2.0
"""How often the file is brought up to date."""
SILENT_S = 60.0
"""A process on another machine that said nothing for so long is not called running."""

STALE_S = 3600.0
"""A study's run that a process we cannot see did not refresh for so long counts as left behind."""
START_TAG = "rfe.pid_start"
"""Of a study's run: when the process that writes it began."""
SESSION_TAG, LIVE_TAG, STOP_TAG = "rfe.session", "rfe.live", "rfe.stop"
"""Of a study's run: who works on it, what that process says of itself, and which session is asked to stop."""


@dataclass(frozen=True)
class LiveStatus(PlainRecord):
    """The status that a driver reports."""

    session: str
    """Tells this run of the study from earlier and later ones."""
    host: str
    pid: int
    time: float
    """Last sign of life, seconds since 1970."""
    stage: str = "starting"
    """What it does: a stage's title."""
    search: SearchStatus | None = None
    """How far the search is; kept while the best trials are confirmed."""
    done: int | None = None
    """Steps done of a stage that is no search."""
    total: int | None = None

    @property
    def silent_s(self) -> float:
        """Seconds since the last heartbeat."""
        return max(0.0, time.time() - self.time)

    def without_config(self) -> "LiveStatus":
        """The same without the configuration."""
        return replace(self, search=self.search and replace(self.search, best_config={}))

    @classmethod
    def of_text(cls, text: str) -> "LiveStatus | None":
        """Parse JSON; None if it cannot be read. The status is for display only."""
        try:
            return _STATUS.validate_json(text, strict=True)
        except ValueError:
            return None


_STATUS = TypeAdapter(LiveStatus)


def read_live(folder: StudyFolder) -> LiveStatus | None:
    """Read the driver's last status; None where no driver runs, or its status cannot be parsed."""
    try:
        return LiveStatus.of_text(folder.live.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def request_stop(folder: StudyFolder, session: str) -> None:
    """Ask the process of this session to stop; other sessions ignore it."""
    write_json(folder.stop_request, {"session": session, "time": time.time()})


def stop_requested(folder: StudyFolder, session: str) -> bool:
    """Whether the process of this session was asked to stop."""
    try:
        return bool(json.loads(folder.stop_request.read_text(encoding="utf-8"))["session"] == session)
    except (OSError, ValueError, KeyError, TypeError):
        return False


class LiveProgress:
    """Forwards progress and writes it to the study's folder; use `keep_live`."""

    def __init__(self, progress: Progress, folder: StudyFolder, session: str) -> None:
        self._progress, self._folder = progress, folder
        self._live = LiveStatus(session, socket.gethostname(), os.getpid(), 0.0)
        self._written = 0.0
        """`time.monotonic` of the last write: the wall clock may be set back."""
        self._write()

    def start(self, title: str, total: int | None = None) -> None:
        self._live = replace(self._live, stage=title, done=0, total=total)
        self._write()
        self._progress.start(title, total)

    def update(self, status: SearchStatus | int) -> None:
        if isinstance(status, SearchStatus):
            self._live = replace(self._live, search=status, done=None, total=None)
        else:
            self._live = replace(self._live, done=status)
        if time.monotonic() - self._written >= BEAT_S:
            self._write()
        self._progress.update(status)

    def note(self, line: str) -> None:
        self._progress.note(line)

    def close(self) -> None:
        self._progress.close()

    def _write(self) -> None:
        self._live, self._written = replace(self._live, time=time.time()), time.monotonic()
        with suppress(OSError):  # a full disk is the journal's to report: nothing hangs on this file
            write_json(self._folder.live, self._live.to_dict())


@contextmanager
def keep_live(folder: StudyFolder, session: str, progress: Progress) -> Iterator[Progress]:
    """Publish `progress` in the study's folder while the block runs; the caller must hold the study's lock."""
    folder.stop_request.unlink(missing_ok=True)  # of a session that has ended
    try:
        yield LiveProgress(progress, folder, session)
    finally:
        folder.live.unlink(missing_ok=True)
        folder.stop_request.unlink(missing_ok=True)


def process_start(pid: int) -> str:
    """When a process of this machine began, as text; "" where the system does not tell. A number of its own is used
    again once the process is gone, and both together are not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot}/{stat.rpartition(')')[2].split()[19]}"  # clock ticks since the boot; the name may hold blanks
    except (OSError, IndexError):
        return ""


def process_tags() -> dict[str, str]:
    """Tags that identify the process that writes a study's run."""
    return {
        "rfe.host": socket.gethostname(),
        "rfe.pid": str(os.getpid()),
        START_TAG: process_start(os.getpid()),
        "rfe.refreshed": str(int(time.time())),
    }


def is_left_behind(tags: Mapping[str, str]) -> bool:
    """Whether the process that wrote a RUNNING run has ended: not found on this host, or silent for an hour.

    A process of that number may be another one by now. Where its start does not tell, as without /proc or for runs of
    earlier versions, the run's last refresh does.
    """
    if tags.get("rfe.host") == socket.gethostname() and tags.get("rfe.pid", "").isdigit():
        pid = int(tags["rfe.pid"])
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass  # another user's
        began = process_start(pid)
        if began and tags.get(START_TAG):
            return began != tags[START_TAG]
    return time.time() - float(tags.get("rfe.refreshed", 0)) > STALE_S
