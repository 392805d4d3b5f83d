"""How operations on large activations go: a few replicas at a time, so that what one step of an operation writes is
still in the processor's cache when the next reads it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

CACHED_NUMBERS = 1 << 18
"""Numbers of one activation that a core's cache holds beside the others of the operation."""


def blocks(values: Tensor) -> Iterator[slice]:
    """Neighbouring replicas of [replica, ...] that are worked on together: all of them on a GPU."""
    n_replicas = values.shape[0]
    size = n_replicas
    if values.device.type == "cpu" and n_replicas:
        n_blocks = min(n_replicas, -(-values.numel() // CACHED_NUMBERS))
        size = -(-n_replicas // max(n_blocks, 1))
    for first in range(0, n_replicas, max(size, 1)):
        yield slice(first, min(first + size, n_replicas))


def low_precision(device: torch.device) -> torch.dtype | None:
    """The dtype of matrix products under autocast; None outside it."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """A context in which autocast, where it is on, leaves products in the precision of their factors."""
    return nullcontext() if low_precision(device) is None else torch.autocast(device.type, enabled=False)


def product(left: Tensor, right: Tensor, low: torch.dtype | None) -> Tensor:
    """[replica, n, k] @ [replica, k, m] in the given precision, handed back in that of `left`."""
    if low is None:
        return torch.bmm(left, right)
    return torch.bmm(left.to(low), right.to(low)).to(left.dtype)


def add_product(onto: Tensor, left: Tensor, right: Tensor, low: torch.dtype | None) -> Tensor:
    """`product` added to `onto`, [replica, n, m], in place; returns it."""
    return onto.baddbmm_(left, right) if low is None else onto.add_(product(left, right, low))
