"""Which of the waiting items make a stack: one tensor shape, as many as fit the device."""

from collections.abc import Iterable

from rfe.search.lease import Entry


def pack_stack(waiting: Iterable[Entry], memory_bytes: float, n: int) -> list[str]:
    """Keys of up to `n` items that fit `memory_bytes` together, the oldest first.

    The oldest one decides the shape, and is taken whatever it needs. One whose score is yet to be compared waits; one
    whose former stack failed is in no larger stack than it may be.
    """
    taken: list[str] = []
    used, largest, shape = 0, n, ""
    for entry in waiting:
        item = entry.item
        if entry.undecided:
            continue
        limit = min(largest, entry.largest_stack or n)
        if taken and (item.shape != shape or len(taken) >= limit or used + item.memory_bytes > memory_bytes):
            continue
        taken.append(item.key)
        shape, largest, used = item.shape, limit, used + item.memory_bytes
        if len(taken) >= largest:
            break
    return taken
