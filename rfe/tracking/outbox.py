"""A background thread that carries out actions in order and retries each until it succeeds."""

import threading
import time
from collections import deque
from collections.abc import Callable

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
LONGEST_WAIT_CLOSING_S = 2.0


class Outbox:
    """Carries out `put` actions one after the other, off the caller's thread.

    An action that raises is tried again after a growing pause, and those behind it wait: order is kept. An action
    must therefore be harmless to repeat.

    Args:
        is_hopeless: whether trying again after this error cannot help; such an action is given up and noted.
        note: told in one line of an outage, its end, and of actions given up; called on the thread.
        describe: an error as a short text fit for people (no secrets).
        tick: an action for every `tick_s` seconds, run between the others; its errors are like theirs.
    """

    def __init__(
        self,
        is_hopeless: Callable[[Exception], bool],
        note: Callable[[str], None],
        describe: Callable[[Exception], str],
        tick: Callable[[], None],
        tick_s: float,
    ) -> None:
        self._is_hopeless, self._note, self._describe = is_hopeless, note, describe
        self._tick, self._tick_s, self._last_tick = tick, tick_s, time.monotonic()
        self._actions: deque[tuple[str, Callable[[], None]]] = deque()
        self._changed = threading.Condition()
        self._closing = self._abandoned = self._in_trouble = False
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def put(self, what: str, action: Callable[[], None]) -> None:
        """Queue `action`; `what` names it in messages, e.g. `trial 12`."""
        with self._changed:
            self._actions.append((what, action))
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until the queue is empty; False when time ran out."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._actions, timeout_s)

    def close(self, timeout_s: float) -> list[str]:
        """Carry out what is queued and end the thread; returns the names of what time ran out for."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()
            return [what for what, _ in self._actions]

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._actions or self._closing, self._until_tick())
                if self._abandoned or (self._closing and not self._actions):
                    return
                queued = self._actions[0] if self._actions else None
            if queued is not None:
                self._carry_out(*queued)
                with self._changed:
                    self._actions.popleft()
                    self._changed.notify_all()
            if self._until_tick() == 0 and not self._closing:
                self._carry_out("refresh", self._tick)
                self._last_tick = time.monotonic()

    def _until_tick(self) -> float:
        return max(0.0, self._last_tick + self._tick_s - time.monotonic())

    def _carry_out(self, what: str, action: Callable[[], None]) -> None:
        wait_s = FIRST_WAIT_S
        while not self._abandoned:
            try:
                action()
            except Exception as error:  # whatever the far side raises: the search goes on
                if self._is_hopeless(error):
                    self._note(f"{what} cannot be shown: {self._describe(error)}")
                    return
                if not self._in_trouble:
                    self._in_trouble = True
                    self._note(f"no results can be shown for now ({self._describe(error)}); they are safe, retrying")
                with self._changed:
                    # close() wakes a long pause, so that the last try comes soon
                    was_closing = self._closing
                    self._changed.wait_for(lambda: self._abandoned or self._closing != was_closing, wait_s)  # noqa: B023
                wait_s = min(2 * wait_s, LONGEST_WAIT_CLOSING_S if self._closing else LONGEST_WAIT_S)
            else:
                if self._in_trouble:
                    self._in_trouble = False
                    self._note("results are shown again")
                return
