"""A Ray of this machine's own, for one command: started with what it needs, or refused with the reason.

Ray says why it cannot start in the logs of its processes, if anywhere; what it raises is mostly a timeout. What it
needs of the machine is therefore looked at beforehand; see `preconditions`.
"""

import os
import secrets
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rfe.errors import ConfigError
from rfe.resources import available_cpus
from rfe.scratch import scratch_folder
from rfe.search.interrupt import keep_handlers
from rfe.search.preconditions import (
    OBJECT_STORE_BYTES,
    find_conditions,
    refuse_impossible,
    shared_memory_is_enough,
)

WORKER_NICENESS = "5"
"""Of the workers of a Ray that we start, unless `RAY_worker_niceness` says otherwise. Ray's own 15 leaves them a
thirtieth of a core that another busy program wants too, so that a search beside anything else seems to stand still; 5
leaves them a quarter, and programs in the foreground still come first. A cluster keeps what it was started with."""
TRIES = 5
"""Ray waits 30 s for its first process and 30 s for the next, which no setting changes. On a busy machine it may take
longer; the second time its files are in memory. At a load of 12 to 15 on two cores, two starts of seven failed
twice."""


@contextmanager
def local_ray(workers: int | None, note: Callable[[str], None], common: dict[str, Any]) -> Iterator[None]:
    """A Ray that is this process's own, ended with the block.

    Args:
        workers: how many are wanted; they may be more than there are CPUs.
        note: told when it takes a second try.
        common: arguments of `ray.init`.

    Raises:
        ConfigError: it does not start; says why, as far as can be told, and what to do.
    """
    import ray

    refuse_impossible()
    os.environ.setdefault("RAY_worker_niceness", WORKER_NICENESS)
    folder = scratch_folder()
    # One CPU more than there are: the light Tune trials must find room beside workers that take all
    cpus = max(available_cpus(), workers or 1) + 1
    arguments = {
        "num_cpus": cpus,
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "_temp_dir": str(folder),
        **({} if shared_memory_is_enough() else {"_plasma_directory": str(folder)}),
        **common,
    }
    with _own_token():
        try:
            _start(arguments, note)
            yield
        finally:
            ray.shutdown()


def _start(arguments: dict[str, Any], note: Callable[[str], None]) -> None:
    import ray

    for attempt in range(1, TRIES + 1):
        try:
            with keep_handlers():
                ray.init(address="local", **arguments)
            return
        except Exception as error:  # Ray raises plain ones
            _end_processes(error)
            ray.shutdown()
            if attempt == TRIES or not _is_timeout(error):
                raise ConfigError(_sentence(error, arguments["_temp_dir"])) from error
            note(f"Ray did not start within its 30 s; try {attempt + 1} of {TRIES}")


def _sentence(error: Exception, folder: str) -> str:
    scarce = [one for one in find_conditions() if one.verdict != "fine" and one.what != "HOME"]  # Ray does without
    causes = "".join(f"{one.what}: {one.found}; {one.remedy}; " for one in scarce)
    if _is_timeout(error):
        causes += "where other programs keep the machine busy, end some or try again later; "
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return f"the local Ray did not start ({reason}); {causes}its logs are in {folder}/session_latest/logs"


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError) or "timed out" in str(error).lower()


def _end_processes(error: Exception) -> None:
    """End what a start that failed has left running. Ray knows of it only within the call that raised."""
    from ray._private.node import Node

    for frame, _ in traceback.walk_tb(error.__traceback__):
        node = frame.f_locals.get("self")
        if isinstance(node, Node) and hasattr(node, "all_processes"):
            with suppress(Exception):
                node.kill_all_processes(check_alive=False, allow_graceful=False)
            return


@contextmanager
def _own_token() -> Iterator[None]:
    """A token for this process's Ray alone. Ray's own way is one in HOME for all, which must then be writable, and
    which makes each cluster that the user starts later ask for it."""
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    before = {name: os.environ.get(name) for name in names}
    disabled = (before["RAY_AUTH_MODE"] or "token").lower() != "token"
    if not (disabled or before["RAY_AUTH_TOKEN"] or before["RAY_AUTH_TOKEN_PATH"]):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    _forget_token()
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        _forget_token()


def _forget_token() -> None:
    """Have Ray read the environment again: it keeps mode and token of the first Ray in a process."""
    from ray._raylet import AuthenticationTokenLoader, Config

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
