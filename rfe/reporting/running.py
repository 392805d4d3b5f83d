"""Whether a process works on a study now, from what it leaves in the study's folder."""

import socket
import time

from filelock import Timeout

from rfe.errors import ConfigError
from rfe.journal.journal import LOCK_FILE
from rfe.locking import hold_lock
from rfe.tracking.live import SILENT_S, LiveStatus, read_live
from rfe.workspace import StudyFolder


def find_running(folder: StudyFolder) -> LiveStatus | None:
    """Return the live status of the process that searches the study; None if none does.

    On this host the study's lock tells, as a process's number may be another's by now. A process on another host is
    believed while it speaks. One that has said nothing yet (it starts, or repairs the study) has no session.
    """
    live = read_live(folder)
    if live is not None and live.silent_s < SILENT_S and live.host != socket.gethostname():
        return live
    if _is_locked(folder):
        return live or LiveStatus("", "", 0, time.time())
    return None


def see_running(folder: StudyFolder) -> LiveStatus | None:
    """As `find_running`, without a look at the study's lock: a process of this host that speaks is believed too."""
    live = read_live(folder)
    return live if live is not None and live.silent_s < SILENT_S else None


def _is_locked(folder: StudyFolder) -> bool:
    """Whether a process holds the study's lock."""
    path = folder.path / LOCK_FILE
    if not path.exists():
        return False
    try:
        with hold_lock(path, 0.0):
            return False
    except ConfigError:
        return False  # a file system without locks: no process can have opened it
    except (Timeout, OSError):
        return True
