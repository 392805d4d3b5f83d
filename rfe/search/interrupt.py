"""Ctrl-C: the first one asks a search to end well, the second ends it at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

LEFT_AT_ONCE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Whether the user (or whoever stops a job) asked for an end.

    Args:
        elsewhere: whether the end was asked for by other means than a signal.
    """

    def __init__(self, elsewhere: Callable[[], bool] = lambda: False) -> None:
        self._elsewhere, self._asked = elsewhere, False

    @property
    def asked(self) -> bool:
        """Once it was, it stays so."""
        self._asked = self._asked or self._elsewhere()
        return self._asked

    def handle(self, number: int, frame: FrameType | None) -> None:
        """A signal handler."""
        if self._asked:
            os._exit(LEFT_AT_ONCE)
        self._asked = True

    def watch(self) -> None:
        """Have SIGINT and SIGTERM come here; only a main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self.handle)


@contextmanager
def catch_interrupts(elsewhere: Callable[[], bool] = lambda: False) -> Iterator[Interrupt]:
    """Within the block SIGINT and SIGTERM set `asked`, and a second one leaves; only in the main thread."""
    interrupt = Interrupt(elsewhere)
    former = {number: signal.getsignal(number) for number in SIGNALS}
    interrupt.watch()
    try:
        yield interrupt
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in former.items():
                signal.signal(number, handler or signal.SIG_DFL)  # None: not set by Python
