"""A tracking server each of whose requests is repeated until it succeeds."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from rfe.tracking.presentation import Metric
from rfe.tracking.run_server import KnownRun, RunServer, RunStatus

FIRST_WAIT_S = 0.1
T = TypeVar("T")


class Repeat(Protocol):
    """Calls until the call succeeds, as `Outbox.request` does."""

    def __call__(self, call: Callable[[], T]) -> T: ...


def repeat_for(limit_s: float, is_hopeless: Callable[[Exception], bool]) -> Repeat:
    """Repeats a failed call after growing pauses, on the caller's thread; raises its error after `limit_s`.

    Args:
        limit_s: how long one call is repeated.
        is_hopeless: whether trying again after this error cannot help.
    """

    def repeat(call: Callable[[], T]) -> T:
        wait_s, until = FIRST_WAIT_S, time.monotonic() + limit_s
        while True:
            try:
                return call()
            except Exception as error:  # whatever the far side raises
                if is_hopeless(error) or time.monotonic() + wait_s > until:
                    raise
            time.sleep(wait_s)
            wait_s *= 2

    return repeat


class RetryingServer:
    """A `RunServer` whose requests go through `repeat`: an action of several goes on where one of them failed.

    All but `create` may be repeated as they are. That one looks first whether the run is there: the server may have
    made it although its answer was lost.
    """

    def __init__(self, server: RunServer, repeat: Repeat) -> None:
        self._server, self._repeat = server, repeat

    def find_experiment(self, name: str) -> str:
        return self._repeat(lambda: self._server.find_experiment(name))

    def tag_experiment(self, experiment_id: str, name: str, value: str) -> None:
        self._repeat(lambda: self._server.tag_experiment(experiment_id, name, value))

    def search(self, experiment_id: str, study: str, trial: str | None = None) -> Iterator[KnownRun]:
        yield from self._repeat(lambda: list(self._server.search(experiment_id, study, trial)))

    def create(self, experiment_id: str, name: str, tags: Mapping[str, str], start_s: float) -> str:
        tried = False

        def create() -> str:
            nonlocal tried
            if tried:
                for run in self._server.search(experiment_id, tags["rfe.study"], tags.get("rfe.trial")):
                    if run.tags.items() >= {key: tags[key] for key in IDENTITY if key in tags}.items():
                        return run.run_id
            tried = True
            return self._server.create(experiment_id, name, tags, start_s)

        return self._repeat(create)

    def log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        settings: Sequence[tuple[str, str]] = (),
        tags: Mapping[str, str] | None = None,
        at_s: float | None = None,
    ) -> None:
        at_s = time.time() if at_s is None else at_s  # a metric logged again at another moment would stand twice
        self._repeat(lambda: self._server.log(run_id, metrics, settings, tags, at_s))

    def upload(self, run_id: str, paths: Iterable[Path], folder: str = "") -> None:
        for path in paths:
            self._repeat(lambda: self._server.upload(run_id, [path], folder))  # noqa: B023

    def delete(self, run_id: str, artifact: str) -> None:
        self._repeat(lambda: self._server.delete(run_id, artifact))

    def set_status(self, run_id: str, status: RunStatus, at_s: float | None = None) -> None:
        self._repeat(lambda: self._server.set_status(run_id, status, at_s))

    def tags(self, run_id: str) -> Mapping[str, str]:
        return self._repeat(lambda: self._server.tags(run_id))


IDENTITY = ("rfe.began", "rfe.trial", "rfe.session", "rfe.recorded")
"""Tags by which a run that was just made is known."""
