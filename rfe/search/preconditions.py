"""Preconditions for a local Ray: checked before it starts, and by `rfe doctor`."""

import os
import resource
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rfe.errors import ConfigError
from rfe.resources import process_limit
from rfe.scratch import is_writable, scratch_folder

Verdict = Literal["fine", "look", "wrong"]
"""`look`: a search runs all the same. `wrong`: none can."""
OBJECT_STORE_BYTES = 512 * 2**20
"""Local object store: results pass through it one by one."""
SHARED_MEMORY = Path("/dev/shm")
LEAST_MEMORY = 2 * 2**30
"""Bytes that a local Ray with one worker and MLflow need, about."""
LEAST_FILES, ENOUGH_FILES = 256, 4096
LEAST_PROCESSES, ENOUGH_PROCESSES = 300, 2000
"""Processes and threads: a Ray with one worker has about 200, and each further worker adds about 30."""
LEAST_ADDRESSES = 32 * 2**30
"""Bytes of addresses, of which Ray's processes reserve many more than they use."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    what: str
    found: str
    verdict: Verdict = "fine"
    remedy: str = ""
    """What to do about it; "" where all is well."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


def find_conditions() -> list[Finding]:
    """What a local Ray depends on, here and now."""
    return [finding for check in (_scratch, _home, _shared_memory, _limits) for finding in check()]


def refuse_impossible() -> None:
    """Refuse a machine on which no Ray starts.

    Raises:
        ConfigError: names each obstacle and its remedy.
    """
    if problems := [f"{one.what}: {one.found}; {one.remedy}" for one in find_conditions() if one.verdict == "wrong"]:
        raise ConfigError(f"no local Ray can start here: {'; '.join(problems)}")


def shared_memory_is_enough() -> bool:
    """Whether Ray's object store has room in memory; elsewhere it is a file."""
    return is_writable(SHARED_MEMORY) and shutil.disk_usage(SHARED_MEMORY).free >= OBJECT_STORE_BYTES


def _scratch() -> Iterator[Finding]:
    try:
        folder = scratch_folder()
    except ConfigError as error:
        sentence, _, remedy = str(error).rpartition("; ")
        yield Finding("temporary folder", sentence, "wrong", remedy)
        return
    free = shutil.disk_usage(folder).free
    given = os.environ.get("TMPDIR")
    passed_over = given is not None and not folder.is_relative_to(given) and "RAY_TMPDIR" not in os.environ
    reason = f", because TMPDIR={given} is too long for Ray or cannot be written" if passed_over else ""
    yield Finding("temporary folder", f"{folder}, {free / 2**30:.1f} GB free{reason}")


def _home() -> Iterator[Finding]:
    home = os.environ.get("HOME")
    remedy = "searches do without; other programs may want HOME to be a folder that you can write"
    if not home:
        yield Finding("HOME", "is not set", "look", remedy)
    elif not is_writable(Path(home)):
        yield Finding("HOME", f"{home} cannot be written", "look", remedy)
    else:
        yield Finding("HOME", home)


def _shared_memory() -> Iterator[Finding]:
    if not SHARED_MEMORY.is_dir():
        return  # as on macOS
    if shared_memory_is_enough():
        return
    free = shutil.disk_usage(SHARED_MEMORY).free
    remedy = "give the container more (docker run --shm-size=1g): Ray passes results through a slower file instead"
    yield Finding(str(SHARED_MEMORY), f"{free >> 20} MB free", "look", remedy)


def _limits() -> Iterator[Finding]:
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)  # Ray raises the soft limit to the hard one
    yield _limit("open files", files, LEAST_FILES, ENOUGH_FILES, "raise it: ulimit -n 65536")
    own = resource.getrlimit(resource.RLIMIT_NPROC)[0] if os.getuid() else resource.RLIM_INFINITY  # root has none
    group = process_limit()
    lower_by_group = group is not None and (own == resource.RLIM_INFINITY or group < own)
    remedy = (
        "give the container or job more: docker run --pids-limit 4096" if lower_by_group else "raise it: ulimit -u 8192"
    )
    most = group if lower_by_group and group is not None else own
    yield _limit("processes and threads", most, LEAST_PROCESSES, ENOUGH_PROCESSES, remedy)
    addresses, _ = resource.getrlimit(resource.RLIMIT_AS)
    if 0 <= addresses < LEAST_ADDRESSES:
        found = f"limited to {addresses / 2**30:.1f} GB"
        yield Finding("address space", found, "wrong", "lift the limit, ulimit -v unlimited; Ray reserves more")


def _limit(what: str, most: int, least: int, enough: int, remedy: str) -> Finding:
    if most == resource.RLIM_INFINITY or most >= enough:
        return Finding(what, "no limit" if most == resource.RLIM_INFINITY else f"at most {most}")
    verdict: Verdict = "wrong" if most < least else "look"
    return Finding(what, f"at most {most}, {'too few for' if verdict == 'wrong' else 'few for'} Ray", verdict, remedy)
