"""Threads that work beside the main one, and the program's end while one of them is still at work.

A daemon thread that computes or writes while the interpreter ends can abort the process (exit 134) after it has printed
its result. So those of this program are waited for, and where one does not end in time the process leaves at once.
"""

import atexit
import os
import sys
import threading
import time
from contextlib import suppress

LAST_S = 10.0
"""How long background threads are waited for at the program's end."""


class BackgroundThread(threading.Thread):
    """A daemon thread that is waited for when the program ends, for a bounded time."""

    def __init__(self, *args: object, **given: object) -> None:
        super().__init__(*args, **given, daemon=True)  # type: ignore[arg-type]


def join_background_threads(timeout_s: float | None = None) -> list[str]:
    """Wait for all background threads together, `LAST_S` if not told; returns the names of those that did not end."""
    until = time.monotonic() + (LAST_S if timeout_s is None else timeout_s)
    threads = [one for one in threading.enumerate() if isinstance(one, BackgroundThread)]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [thread.name for thread in threads if thread.is_alive()]


def leave(code: int) -> None:
    """Return where no background thread is at work any more; else end the process with `code`.

    Then what Python does at its end is left out: with a thread still at work it could abort.
    """
    with suppress(KeyboardInterrupt):  # the user does not wait
        if not join_background_threads():
            return
        for thread in threading.enumerate():  # those that Python itself would wait for
            if not thread.daemon and thread is not threading.current_thread():
                thread.join()
    with suppress(OSError, ValueError):  # a closed terminal
        sys.stdout.flush()
    os._exit(code)


atexit.register(join_background_threads)  # of scripts and notebooks
