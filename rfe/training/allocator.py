"""Keeps memory that a step frees in the process for the next step, instead of returning it to the system."""

import ctypes
import sys

LARGEST_BLOCK = 1 << 30
"""Blocks of up to this many bytes come from the heap."""
KEPT_BYTES = (1 << 31) - 1
"""So much of the heap may lie free, the most one can ask for: 100 replicas free hundreds of MiB a step."""
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
"""Environment of a process that trains in another thread than its first: glibc gives threads heaps of their own, of 64
MiB at most, and returns those whatever its settings."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> None:
    """Keep freed memory in this process.

    Each step of a stack makes and frees the same tensors of some megabytes. glibc hands such blocks back to the system,
    which maps and zeroes every page again at the next step: a quarter of a step's time and more. Elsewhere than on
    glibc nothing changes; in other threads than the first it takes `ONE_HEAP` as well.

    Source: mallopt(3).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGEST_BLOCK)
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
