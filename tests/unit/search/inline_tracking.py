"""MLflow's tracker without its thread, on a server in memory: a test decides when it goes on, and where it dies."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rfe.tracking import mlflow_server, mlflow_tracker
from rfe.tracking.run_server import KnownRun
from tests.unit.tracking.test_run_writer import MemoryServer


class CrashError(BaseException):
    """The process dies here; no handler of errors may keep it alive."""


class CrashingServer(MemoryServer):
    """A server whose requests fail, or kill their process, as they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: deque[bool] = deque()
        """Of the next requests: whether the request (False) or its answer (True) is lost."""
        self.crash_in: int | None = None
        """After so many more requests the process dies."""

    def _call(self, late: bool) -> None:
        if self.crash_in is not None and late:
            self.crash_in -= 1
            if self.crash_in < 0:
                self.crash_in = None
                raise CrashError
        if self.fails and self.fails[0] == late:
            self.fails.popleft()
            raise ConnectionError("502 bad gateway")

    def look_up(self, name: str) -> tuple[str, bool] | None:
        return (self.find_experiment(name), False) if self.runs else None

    def running(self) -> Iterator[KnownRun]:
        return (run for run in self.search("", "s") if run.status == "RUNNING")

    def create(self, *what: Any) -> str:
        run_id = super().create(*what)
        self.runs[f"{run_id}of{self.calls}"] = self.runs.pop(run_id)  # some are deleted: counting them gives none twice
        self.calls += 1
        return f"{run_id}of{self.calls - 1}"


class InlineOutbox:
    """`Outbox`, whose actions are carried out by `go_on`."""

    def __init__(self, is_hopeless: Any, note: Any, describe: Callable[[Exception], str], *tick: Any) -> None:
        self.actions: deque[tuple[str, Callable[[], None]]] = deque()
        self.refused: dict[str, str] = {}
        self._describe = describe

    @property
    def waiting(self) -> int:
        return len(self.actions)

    def put(self, what: str, action: Callable[[], None], *, first: bool = False) -> None:
        self.actions.insert(1 if first else len(self.actions), (what, action))

    def request(self, call: Callable[[], Any]) -> Any:
        while True:
            try:
                return call()
            except ConnectionError:
                continue

    def go_on(self, most: int) -> None:
        """Carry out at most so many actions."""
        while self.actions and most:
            what, action = self.actions[0]
            try:
                action()
            except Exception as error:
                self.refused[what] = self._describe(error)
            self.actions.popleft()
            most -= 1

    def close(self, timeout_s: float) -> list[str]:
        self.go_on(len(self.actions))
        return []


def use_inline_tracking(patch: pytest.MonkeyPatch, server: CrashingServer) -> list[InlineOutbox]:
    """Have trackers write to `server`; returns their outboxes, of those to come too."""
    made: list[InlineOutbox] = []

    def outbox(*given: Any) -> InlineOutbox:
        made.append(InlineOutbox(*given))
        return made[-1]

    @contextmanager
    def open_server(workspace: object) -> Iterator[CrashingServer]:
        yield server

    patch.setattr(mlflow_tracker, "Outbox", outbox)
    patch.setattr(mlflow_tracker, "MlflowServer", lambda uri, artifacts: server)
    patch.setattr(mlflow_tracker, "prepare_database", lambda uri, own: "")
    patch.setattr(mlflow_server, "open_server", open_server)
    patch.setattr("rfe.tracking.figures.trial_figures", lambda log: [("gate.png", b"drawn")])
    return made
