"""A background thread that carries out actions in order, and repeats each request of theirs until it succeeds."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 60.0
LONGEST_WAIT_CLOSING_S = 2.0
SECONDS_UNSAID = 5.0
"""A request that failed for so long is said to the user: single failures are common, and pass."""
REFUSALS_SAID = 3
"""So many actions that are given up are noted one by one."""
GRACE_S = 5.0
"""How long `close` waits for the request in progress once time has run out."""
LOOK_S = 1.0
"""How often a waiting thread looks whether the program ends."""

T = TypeVar("T")


class AbandonedError(Exception):
    """Raised when the time for sending is over: nothing more is sent."""


class Outbox:
    """Carries out `put` actions one after the other, off the caller's thread.

    An action sends its requests through `request`, which repeats the one that failed after a growing pause; what the
    action did before is not done again. An action that raises is given up, noted, and kept in `refused`.

    The thread is no daemon: one that still drew or imported while the interpreter ends would abort the process. It ends
    after `close`, or with the main thread.

    Args:
        is_hopeless: whether trying again after this error cannot help.
        note: told in one line of an outage, its end, and of actions given up; called on the thread.
        describe: an error as a short text fit for people (no secrets).
        tick: called every `tick_s` seconds, between the actions.
    """

    def __init__(
        self,
        is_hopeless: Callable[[Exception], bool],
        note: Callable[[str], None],
        describe: Callable[[Exception], str],
        tick: Callable[[], None],
        tick_s: float,
    ) -> None:
        self._is_hopeless, self._said, self._describe = is_hopeless, note, describe
        self._tick, self._tick_s, self._last_tick = tick, tick_s, time.monotonic()
        self._actions: deque[tuple[str, Callable[[], None]]] = deque()
        self._changed = threading.Condition()
        self._closing = self._abandoned = self._in_trouble = False
        self.refused: dict[str, str] = {}
        """Action -> why it was given up."""
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=False)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Actions that have not ended."""
        return len(self._actions)

    def put(self, what: str, action: Callable[[], None], *, first: bool = False) -> None:
        """Queue `action`; `what` names it in messages, e.g. `trial 12`. With `first` it comes next."""
        with self._changed:
            # the one at 0 may be in progress
            self._actions.insert(1 if first else len(self._actions), (what, action))
            self._changed.notify_all()

    def request(self, call: Callable[[], T]) -> T:
        """Return the result of `call`, repeated while it raises transient errors; only for the thread's actions.

        Raises:
            AbandonedError: there is no more time.
            Exception: `call`'s own, where trying again cannot help.
        """
        began, wait_s, failure = time.monotonic(), FIRST_WAIT_S, None
        while not self._is_over():
            try:
                answer = call()
            except AbandonedError:
                raise
            except Exception as error:  # whatever the far side raises: the search goes on
                if self._is_hopeless(error):
                    raise
                failure = error
                if time.monotonic() - began >= SECONDS_UNSAID:
                    self._say_trouble(error)
                self._pause(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_CLOSING_S if self._closing else LONGEST_WAIT_S)
            else:
                if self._in_trouble:
                    self._in_trouble = False
                    self._note("is available again")
                return answer
        if failure is not None:
            self._say_trouble(failure)
        raise AbandonedError

    def flush(self, timeout_s: float) -> bool:
        """Wait until the queue is empty; False when time ran out."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._actions, timeout_s)

    def close(self, timeout_s: float) -> list[str]:
        """Run the queued actions and end the thread; returns the names of actions that were not run in time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()
        self._thread.join(GRACE_S)
        with self._changed:
            return [what for what, _ in self._actions]

    def _is_over(self) -> bool:
        return self._abandoned or not threading.main_thread().is_alive()

    def _run(self) -> None:
        while not self._is_over():
            with self._changed:
                self._changed.wait_for(lambda: self._actions or self._closing, min(LOOK_S, self._until_tick()))
                if self._closing and not self._actions:
                    return
                queued = self._actions[0] if self._actions else None
            if queued is not None:
                if not self._carry_out(*queued):
                    return
                with self._changed:
                    self._actions.popleft()
                    self._changed.notify_all()
            if self._until_tick() == 0 and not self._closing:
                self._carry_out("", self._tick)
                self._last_tick = time.monotonic()

    def _until_tick(self) -> float:
        return max(0.0, self._last_tick + self._tick_s - time.monotonic())

    def _carry_out(self, what: str, action: Callable[[], None]) -> bool:
        """False when time ran out before it ended."""
        try:
            self.request(action)
        except AbandonedError:
            return False
        except Exception as error:
            if what:  # a missed tick is followed by the next one
                self.refused[what] = self._describe(error)
                if len(self.refused) <= REFUSALS_SAID:
                    self._note(f"{what} cannot be shown: {self.refused[what]}")
        return True

    def _pause(self, wait_s: float) -> None:
        """Wait; close() wakes a long pause, so that the last try comes soon."""
        until = time.monotonic() + wait_s
        with self._changed:
            was_closing = self._closing
            while (left_s := until - time.monotonic()) > 0 and not self._is_over() and self._closing == was_closing:
                self._changed.wait(min(LOOK_S, left_s))

    def _say_trouble(self, error: Exception) -> None:
        if not self._in_trouble:
            self._in_trouble = True
            self._note(f"is unavailable ({self._describe(error)}); results are saved locally, retrying")

    def _note(self, line: str) -> None:
        with suppress(OSError, ValueError):  # a closed terminal
            self._said(line)
