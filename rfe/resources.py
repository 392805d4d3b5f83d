"""CPUs, memory and processes that this process may use: the machine's, or fewer where a container, a batch job or an
affinity mask says so.

Limits are read from every control group from the process's own up to the root: a Slurm job's limit stands several
groups above the process, and Ray, joblib and psutil look at the root alone. Both versions of control groups are read.

Source: cgroups(7), and the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

import os
from collections.abc import Iterator
from math import inf
from pathlib import Path

OWN_GROUPS = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")
MEMORY = Path("/proc/meminfo")


def available_cpus() -> int:
    """CPUs that this process may use, at least 1: its affinity mask's, or the whole ones of its quota if fewer."""
    return max(1, int(min(_affinity(), cpu_quota())))


def limit_threads() -> None:
    """Have NumPy and torch, not yet imported, start no more threads than the quota has CPUs for. They know of the
    affinity mask only: in a container with 2 of 64 CPUs 64 threads would wait for one another most of the time."""
    if cpu_quota() < _affinity():
        os.environ.setdefault("OMP_NUM_THREADS", str(available_cpus()))


def cpu_quota() -> float:
    """CPUs' worth of time that the control groups allow, e.g. 1.5; infinite without a limit."""
    quotas = [inf]
    for group in _groups("cpu"):
        quota, _, period = _read(group / "cpu.max").partition(" ")  # v2: "150000 100000", or "max 100000"
        quota = quota or _read(group / "cpu.cfs_quota_us")  # v1: -1 is no limit
        share, period_us = _number(quota), _number(period or _read(group / "cpu.cfs_period_us"))
        if share is not None and share > 0 and period_us:
            quotas.append(share / period_us)
    return min(quotas)


def machine_memory() -> int:
    """Bytes of memory that this process may use."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *(limit for limit, _ in _memory_limits())])


def free_memory() -> int | None:
    """Bytes of memory that are available now; None where the system does not report them."""
    found = [max(0, limit - used) for limit, used in _memory_limits()]
    for line in _read(MEMORY).splitlines():
        if line.startswith("MemAvailable:"):
            found.append(1024 * int(line.split()[1]))
    return min(found, default=None)


def process_limit() -> int | None:
    """How many processes and threads the control groups allow; None without a limit."""
    return min((limit for group in _groups("pids") if (limit := _number(_read(group / "pids.max")))), default=None)


def _affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _memory_limits() -> Iterator[tuple[int, int]]:
    """(limit, bytes in use) of each control group that has a limit."""
    for group in _groups("memory"):
        # above memory.high the kernel slows the group down until it has freed memory: in effect a limit
        names = ("memory.max", "memory.high", "memory.limit_in_bytes")
        limits = [limit for name in names if (limit := _number(_read(group / name))) is not None]
        if limits:
            used = _number(_read(group / "memory.current") or _read(group / "memory.usage_in_bytes")) or 0
            yield min(limits), max(0, used - _reclaimable(group))


def _reclaimable(group: Path) -> int:
    """Bytes of files that were read and are still cached, which count as used but are freed when memory is asked for:
    without them a container that has read its data seems full."""
    statistics = dict(line.split(" ", 1) for line in _read(group / "memory.stat").splitlines() if " " in line)
    return _number(statistics.get("total_inactive_file") or statistics.get("inactive_file") or "") or 0


def _groups(controller: str) -> Iterator[Path]:
    """The folders of this process's control groups for `controller`, its own first, then all parents."""
    for line in _read(OWN_GROUPS).splitlines():
        _, names, path = line.split(":", 2)
        if names == "":  # version 2; mounted beside version 1 it lies in `unified`
            roots = [GROUPS / "unified", GROUPS]
        elif controller in names.split(","):
            roots = [GROUPS / names, GROUPS / controller]
        else:
            continue
        for root in roots:
            if root.is_dir():
                # in a container the path may be the host's, of which the container sees the end as its root
                own = root / path.lstrip("/")
                yield from (one for one in (own, *own.parents) if one == root or root in one.parents)
                break


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # "max", or no such file
        return None
