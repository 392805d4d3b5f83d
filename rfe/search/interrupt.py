"""Signals that stop a search: the first one stops it cleanly, a second Ctrl-C or SIGTERM exits at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

LEFT_AT_ONCE = 130
STOPS = (signal.SIGINT, signal.SIGTERM)
WARNINGS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""A closed terminal; what batch systems send some time before they end a job (Slurm's `--signal`). They come several
times (from the kernel and from the shell) and are followed by SIGTERM, so none of them makes a search leave at once."""
SIGNALS = STOPS + WARNINGS
LAST_WORDS = "left at once; what finished is kept, and the same command goes on\n"


class Interrupt:
    """Whether the user (or a batch system) asked for an end.

    Args:
        elsewhere: whether the end was asked for by other means than a signal.
    """

    def __init__(self, elsewhere: Callable[[], bool] = lambda: False) -> None:
        self._elsewhere, self._asked = elsewhere, False
        self._warned = False
        """Whether the SIGTERM that follows a warning is still to come."""
        self._terminals = [number for number in (0, 1, 2) if _is_terminal(number)]

    @property
    def asked(self) -> bool:
        """Once it was, it stays so."""
        self._asked = self._asked or self._elsewhere()
        return self._asked

    def ask(self) -> None:
        """Ask for the end."""
        self._asked = True

    def handle(self, number: int, frame: FrameType | None) -> None:
        """A signal handler."""
        if number == signal.SIGHUP:
            self._leave_dead_terminals()
        if number in WARNINGS:
            self._asked = self._warned = True
        elif number == signal.SIGTERM and self._warned:
            self._warned = False
        elif self._asked:
            with suppress(OSError):
                os.write(2, LAST_WORDS.encode())
            os._exit(LEFT_AT_ONCE)
        self._asked = True

    def watch(self) -> None:
        """Have the signals come here; only a main thread can. One that was ignored stays so: `nohup` ignores SIGHUP."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number in STOPS or signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self.handle)

    def _leave_dead_terminals(self) -> None:
        """Writing to a terminal that was closed is an error, which would end the search before it is saved."""
        for number in self._terminals:
            if not _is_terminal(number):
                with suppress(OSError):
                    nowhere = os.open(os.devnull, os.O_RDWR)
                    os.dup2(nowhere, number)
                    os.close(nowhere)


def _is_terminal(number: int) -> bool:
    try:
        return os.isatty(number)
    except OSError:
        return False


@contextmanager
def catch_interrupts(elsewhere: Callable[[], bool] = lambda: False) -> Iterator[Interrupt]:
    """Within the block `SIGNALS` set `asked`, and a second Ctrl-C or SIGTERM leaves; only in the main thread."""
    interrupt = Interrupt(elsewhere)
    former = {number: signal.getsignal(number) for number in SIGNALS}
    interrupt.watch()
    try:
        yield interrupt
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in former.items():
                signal.signal(number, handler or signal.SIG_DFL)  # None: not set by Python


@contextmanager
def keep_handlers() -> Iterator[None]:
    """Put back the handlers that a library replaces within the block: Ray's start takes SIGTERM and ends the process
    without a word. Within the block the `WARNINGS` are kept from processes that are started: a whole job gets them, and
    they would end Ray before the search is saved. What is blocked stays blocked in all processes below; this process
    gets them afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in SIGNALS}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WARNINGS)
    try:
        yield
    finally:
        for number, handler in former.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
