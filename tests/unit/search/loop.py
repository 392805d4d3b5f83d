"""A real search loop in one process: the driver, its queue and its workers, with threads in the place of Ray.

Training is a stand-in whose result is a pure function of the configuration; a test says when epochs may go on.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rfe.config.schema import Config
from rfe.data.dataset import load_dataset
from rfe.progress import SilentProgress
from rfe.search import study_run, worker
from rfe.search.driver import run_search
from rfe.search.outcome import StudyOutcome
from rfe.search.tuner import Cohort, NextCohort
from rfe.search.work import Updates, WorkItem
from rfe.search.work_queue import WorkQueue
from rfe.search.worker import Deliver, OnEpochEnd, WorkerSettings, serve
from rfe.search_space import load_space
from rfe.tracking.base import Tracker
from rfe.training.record import Checkpoint, EpochReport, TrialResult
from rfe.workspace import Workspace
from tests.integration.fakes import fake_result

EPOCHS = 10
WAIT_S = 100.0
"""How long a test waits for something that comes within a second unless the code is wrong."""


class Pace:
    """How far stand-ins may train: none goes beyond `epoch` while it is set."""

    def __init__(self) -> None:
        self.epoch: int | None = None
        self.pause_s = 0.0
        self.fails: Callable[[Config], bool] = lambda config: False
        """Whether a configuration fails this time."""
        self.resumed: list[str] = []
        """Keys that went on from a checkpoint."""


PACE = Pace()


def train(
    items: Sequence[WorkItem], settings: WorkerSettings, device: str, on_epoch_end: OnEpochEnd, deliver: Deliver
) -> None:
    """A `TrainStack`."""
    dataset = load_dataset(Path(items[0].data), items[0].encoders)
    running = {item.key: item for item in items}
    PACE.resumed += [item.key for item in items if item.checkpoint is not None]
    results = {item.key: fake_result(Config.model_validate(item.config), dataset) for item in items}
    epoch = 0
    while running:
        if PACE.epoch is None or epoch < PACE.epoch:
            epoch += 1
        time.sleep(PACE.pause_s or 0.002)
        scores = {key: results[key].score * epoch / EPOCHS for key in running}
        reports = {
            key: EpochReport(epoch, EPOCHS, scores[key], lambda: Checkpoint(1, [], {"score": [(1, 0.1)]}))
            for key in running
        }
        for key, stop in on_epoch_end(reports).items():
            del running[key]
            deliver(key, TrialResult("", stop.state, stop.reason, curves={"score": [(epoch, scores[key])]}))
        if epoch == EPOCHS:
            break
    for key, item in running.items():
        failed = PACE.fails(Config.model_validate(item.config))
        deliver(key, TrialResult("", "failed", "planted") if failed else results[key])


class SharedWorkQueue:
    """A plain queue for several threads."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue, self._lock = queue, threading.RLock()

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            with self._lock:
                return getattr(self._queue, name)(*args)

        return call

    def collect(self, study: str, timeout_s: float) -> Updates:
        deadline = time.monotonic() + min(timeout_s, 0.02)
        while not self.has_news(study) and time.monotonic() < deadline:
            time.sleep(0.001)
        with self._lock:
            return self._queue.collect(study)


class ThreadFleet:
    """As `Fleet`, with workers in threads."""

    def __init__(self, folder: Path, n_workers: int, stack: int) -> None:
        self.folder, self.stack = folder, stack
        self.queue = SharedWorkQueue(WorkQueue())
        self.session = SimpleNamespace(note="", here="here", local=True)
        self.settings = SimpleNamespace(queue="queue")
        self.sizes: list[int] = []
        """What it was resized to."""
        self.draining: list[str] = []
        self.n_workers = 0
        self._n_groups = 0
        self._threads: list[threading.Thread] = []
        self._start(n_workers)

    ended = resizing = False
    prefetch = 0

    @property
    def n_expected(self) -> int:
        return self.n_workers

    def why_none(self) -> str:
        return "none"

    def grow(self) -> int:
        return 0

    def drain(self) -> list[str]:
        self.queue.drain(self.draining)
        return self.draining

    def resize(self, n_workers: int) -> int:
        self.sizes.append(n_workers)
        self.queue.retire([f"group{index}" for index in range(self._n_groups)])
        self.n_workers = 0
        self._start(n_workers)
        return n_workers

    def _start(self, n_workers: int) -> None:
        settings = WorkerSettings(
            "", self.folder, self.stack, train=f"{__name__}:train", heartbeat_s=0.02, poll_s=0.002
        )
        for rank in range(n_workers):
            slot = f"group{self._n_groups}-{rank}"
            thread = threading.Thread(target=serve, args=(self.queue, slot, settings, f"node{rank}"), daemon=True)
            thread.start()
            self._threads.append(thread)
        self.n_workers += n_workers
        self._n_groups += 1

    def close(self) -> None:
        PACE.epoch = None
        self.queue.stop()
        for thread in self._threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()


class ThreadTuner:
    """As `CohortTuner`, without Tune."""

    def __init__(self, next_cohort: NextCohort, queue: Any, folder: Path) -> None:
        self._next, self._queue = next_cohort, queue
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def raise_error(self) -> None:
        """None is kept: a test sees the thread's."""

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return self.ended

    def _run(self) -> None:
        cohorts: list[Cohort] = []
        with suppress(StopIteration):
            while True:
                if (cohort := self._next()) is not None:
                    cohorts.append(cohort)
                    self._queue.offer(cohort.name, cohort.items)
        while any(self._queue.is_open(one.name) for one in cohorts):
            time.sleep(0.002)


class Noted(SilentProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


class Loop:
    """A search in a thread; see `running`."""

    def __init__(
        self,
        workspace: Workspace,
        data: Path,
        fleet: ThreadFleet,
        given: dict[str, Any],
        tracker: Tracker | None = None,
    ) -> None:
        self.workspace, self.fleet, self.tracker = workspace, fleet, tracker
        self.folder = workspace.study(given["study"])
        self.progress = Noted()
        self.outcome: StudyOutcome | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._search, args=(given, data), daemon=True)
        self._thread.start()

    def _search(self, given: dict[str, Any], data: Path) -> None:
        fleet: Any = self.fleet
        try:
            self.outcome = run_search(
                load_space(given),
                data,
                self.workspace,
                fleet=fleet,
                progress=self.progress,
                tracker=self.tracker,
            )
        except BaseException as error:
            self.error = error

    @property
    def epochs(self) -> dict[int, int]:
        """Trial -> epochs done, of those in training."""
        return {int(key.rpartition("/")[2]): epoch for key, epoch in self.fleet.queue.status().epochs.items()}

    def wait(self, reached: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + WAIT_S
        while not reached():
            if self.error is not None:
                raise self.error
            assert time.monotonic() < deadline, self.progress.lines
            time.sleep(0.005)

    def join(self) -> None:
        """Wait until it has ended by itself."""
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), self.progress.lines

    def end(self) -> StudyOutcome:
        """Let it go on to its end."""
        PACE.epoch = None
        self._thread.join(WAIT_S)
        if self.error is not None:
            raise self.error
        assert self.outcome is not None, self.progress.lines
        return self.outcome


@contextmanager
def running(
    monkeypatch: pytest.MonkeyPatch,
    workspace: Workspace,
    data: Path,
    given: dict[str, Any],
    tracker: Tracker | None = None,
    **fleet: int,
) -> Iterator[Loop]:
    """A search that runs while the block does; its study has cohorts of one stack."""
    monkeypatch.setattr(worker, "_find_device", lambda settings: ("cpu", 1e12))
    opened = ThreadFleet(workspace.root, fleet.get("n_workers", 1), fleet.get("stack", 4))
    monkeypatch.setattr(
        study_run, "CohortTuner", lambda next_cohort, queue, folder: ThreadTuner(next_cohort, opened.queue, folder)
    )
    try:
        loop = Loop(workspace, data, opened, given, tracker)
        yield loop
        loop.end()
    finally:
        PACE.__init__()  # type: ignore[misc]
        opened.close()
