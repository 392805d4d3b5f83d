"""Locks on files that the operating system frees when their process ends, also after kill -9."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from rfe.errors import ConfigError

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""Errors of a file system without `flock`: Lustre mounted without it, some NFS servers."""


def acquire_lock(path: Path, timeout_s: float = -1.0, *, instead: str = "RFE_WORKSPACE") -> FileLock:
    """Lock `path`, which is created; any thread may release it.

    filelock would continue with a file whose mere existence is the lock, after deleting the one that is there: two
    processes could then hold it, and one that is killed leaves it behind.

    Args:
        path: the lock's file; its folder must be there.
        timeout_s: how long to wait for its holder; negative: until it is free.
        instead: the option or variable that names another folder.

    Raises:
        filelock.Timeout: another process holds it.
        ConfigError: the folder's file system has no locks.
    """
    lock = FileLock(path, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(timeout=timeout_s)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise ConfigError(
            f"{path.parent}: its file system has no file locks ({error.strerror}), so two processes could write there "
            f"at once; mount it with `flock`, or name a folder on a local disk with {instead}"
        ) from None
    return lock


@contextmanager
def hold_lock(path: Path, timeout_s: float = -1.0, *, instead: str = "RFE_WORKSPACE") -> Iterator[None]:
    """Hold the lock `path` while the block runs; see `acquire_lock`."""
    lock = acquire_lock(path, timeout_s, instead=instead)
    try:
        yield
    finally:
        lock.release()
