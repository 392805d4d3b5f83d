"""A long-lived group of Ray Train workers: one run, in a thread of the driver."""

import time
from pathlib import Path

from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from rfe.search.independent import IndependentConfig
from rfe.search.session import Session
from rfe.search.worker import WorkerSettings, work
from rfe.threads import BackgroundThread
from rfe.training.allocator import ONE_HEAP

MAX_LOST_WORKERS = 1000
MAX_FAILED_STARTS = 20
START_S = 90.0
"""How long workers may take to come up: Ray, shut down under a run that is still starting, ends the whole process."""
WORKER_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin for one another's end took 40 times as long on a busy machine
    **ONE_HEAP,  # Ray Train trains in a thread
}


class WorkerGroup:
    """A Ray Train run whose workers take items from the queue until it stops.

    Args:
        session: says what a worker needs.
        n_workers: how many there are.
        settings: what each worker receives.
        folder: absolute; Ray Train keeps its own state there.
        name: of the run.
    """

    def __init__(self, session: Session, n_workers: int, settings: WorkerSettings, folder: Path, name: str) -> None:
        self.n_workers, self.name = n_workers, name
        self._trainer = TorchTrainer(
            work,
            train_loop_config={"settings": settings, "group": name},
            torch_config=IndependentConfig(),
            scaling_config=ScalingConfig(
                num_workers=n_workers,
                use_gpu=session.gpus_per_worker > 0,
                resources_per_worker=session.resources_per_worker(),
                placement_strategy="SPREAD",
            ),
            run_config=RunConfig(
                name=name,
                storage_path=str(folder),
                worker_runtime_env={"env_vars": WORKER_ENVIRONMENT},
                failure_config=FailureConfig(max_failures=MAX_LOST_WORKERS, controller_failure_limit=MAX_FAILED_STARTS),
            ),
        )
        self._error: BaseException | None = None
        self._began = 0.0
        self._thread = BackgroundThread(target=self._fit, name="worker-group")

    def start(self) -> None:
        """Start the workers; returns at once."""
        self._began = time.monotonic()
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the run is over, be it by the queue's stop or by an error."""
        return not self._thread.is_alive()

    @property
    def reason(self) -> str:
        """Why the run ended, in a line; "" for a plain end."""
        return "" if self._error is None else _last_line(self._error)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the run, longer where it may still be starting; False when time ran out."""
        self._thread.join(max(timeout_s, self._began + START_S - time.monotonic()))
        return self.ended

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except BaseException as error:  # of any kind: the driver's loop asks for it
            self._error = error


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
