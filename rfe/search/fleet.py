"""What a command trains with: a Ray session, the pool, and the workers that take from it. One serves many studies."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ray.exceptions import RayError

from rfe.search.job import read_secrets
from rfe.search.pool_actor import PoolHandle, start_pool
from rfe.search.session import Session, open_session
from rfe.search.worker import WorkerSettings
from rfe.search.worker_group import WorkerGroup

STACK_ON_CPU = 4
STACK_ON_GPU = 32
LEAVE_S = 15.0
"""How long workers are waited for when they are told to go."""


@dataclass(frozen=True)
class Fleet:
    """See the module; use `open_fleet`."""

    session: Session
    pool: PoolHandle
    pool_name: str
    workers: WorkerGroup
    stack: int
    """Most configurations that one worker trains at a time."""
    folder: Path
    """Scratch of Ray Tune and Ray Train."""

    def why_ended(self) -> str:
        """Why the worker group is no more, in a sentence."""
        return f"the workers are gone: {self.workers.reason or 'their Ray Train run ended'}"


@contextmanager
def open_fleet(
    cache: Path,
    *,
    address: str | None = None,
    workers: int | None = None,
    stack: int | None = None,
    train: str = "rfe.search.stack_training:train_stack",
) -> Iterator[Fleet]:
    """Start pool and workers; the workers come up in the background. All of it ends with the block.

    Args:
        cache: folder of prepared features.
        address: of a Ray cluster; None: `RAY_ADDRESS`, else a local Ray.
        workers: how many; None: as many as the devices there are.
        stack: most configurations in one stack; None: by the device.
        train: dotted path of the `TrainStack` that workers run.

    Raises:
        ConfigError: no cluster at the address, or one without room.
    """
    folder = Path(tempfile.mkdtemp(prefix="rfe-"))
    try:
        with open_session(address, workers) as session:
            size = stack or (STACK_ON_GPU if session.gpus_per_worker else STACK_ON_CPU)
            name = f"pool-{uuid4().hex[:8]}"
            pool = start_pool(name)
            settings = WorkerSettings(
                name,
                cache,
                size,
                session.threads_per_worker,
                device_share=session.gpus_per_worker or 1.0,
                train=train,
                secrets=read_secrets(),
            )
            group = WorkerGroup(session, settings, folder)
            group.start()
            try:
                yield Fleet(session, pool, name, group, size, folder)
            finally:
                with suppress(RayError):  # a pool or a node that is gone needs no farewell
                    pool.stop()
                    group.join(LEAVE_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
