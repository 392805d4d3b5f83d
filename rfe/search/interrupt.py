"""Ctrl-C: the first one asks a search to end well, the second ends it at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LEFT_AT_ONCE = 130


class Interrupt:
    """Whether the user (or whoever stops a job) asked for an end."""

    def __init__(self) -> None:
        self.asked = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """A signal handler."""
        if self.asked:
            os._exit(LEFT_AT_ONCE)
        self.asked = True


@contextmanager
def catch_interrupts() -> Iterator[Interrupt]:
    """Within the block SIGINT and SIGTERM set `asked`, and a second one leaves; only in the main thread."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    former = {number: signal.signal(number, interrupt.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
