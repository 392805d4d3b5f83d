"""Memory that a step frees is there for the next one, instead of going back to the system."""

import ctypes
import sys

KEPT_BYTES = 1 << 28
"""Blocks up to this size come from the heap, and this much of it may lie free (256 MiB)."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> None:
    """Have this process keep what it frees.

    Each step of a stack makes and frees the same tensors of some megabytes. glibc hands such blocks back to the system,
    which maps and zeroes every page again at the next step: a quarter of a step's time and more. Elsewhere than on
    glibc nothing changes.

    Source: mallopt(3).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
