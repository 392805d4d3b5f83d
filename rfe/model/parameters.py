"""Parameters of a stack: each tensor has a leading axis over the replicas that hold it."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rfe.model.random import stream
from rfe.model.transfer import to_device


@dataclass
class StackedParameter:
    """One named parameter of all replicas that have it."""

    value: Tensor
    """[holder, ...] leaf tensor."""
    replicas: list[int]
    """[holder] ascending index of each holder in the stack."""
    everyone: bool
    """Whether all replicas of the stack hold it, so that `value` can be used without indexing."""

    def __post_init__(self) -> None:
        self.holders = to_device(self.replicas, self.value.device)
        """`replicas` where the value is (int64)."""

    def rows(self, first: int, last: int) -> slice | None:
        """Rows of the replicas `first` to `last`, the latter excluded; None if none of them holds it."""
        rows = slice(bisect_left(self.replicas, first), bisect_left(self.replicas, last))
        return rows if rows.start < rows.stop else None

    def of_everyone(self, own: Tensor, n_replicas: int) -> Tensor:
        """[holder, ...] -> [replica, ...], 0 for the replicas that do not hold the parameter."""
        if self.everyone:
            return own
        return own.new_zeros(n_replicas, *own.shape[1:]).index_copy(0, self.holders, own)

    def kept_rows(self, kept: Sequence[bool]) -> list[int]:
        """Rows of the replicas where `kept` ([replica]) is True."""
        return [row for row, replica in enumerate(self.replicas) if kept[replica]]

    def take(self, kept: Sequence[bool]) -> "StackedParameter":
        """The parameter of the replicas where `kept` ([replica]) is True, one at least, in a stack of those alone."""
        position = list(accumulate(kept, initial=0))  # of a replica among those kept
        rows = self.kept_rows(kept)
        value = take_rows(self.value.detach(), rows).requires_grad_(True)
        return StackedParameter(value, [position[self.replicas[row]] for row in rows], len(rows) == sum(kept))


def take_rows(values: Tensor, rows: list[int]) -> Tensor:
    """Some rows, copied."""
    return values.index_select(0, to_device(rows, values.device))


def of_replicas(values: Tensor, replicas: Tensor) -> Tensor:
    """[replica, ...] of some replicas, in ascending order; the tensor itself where that is all of them."""
    return values if len(replicas) == len(values) else values.index_select(0, replicas)


def initialise(
    name: str, shape: tuple[int, ...], kind: str, addresses: list[tuple[int, int]], device: torch.device
) -> Tensor:
    """Initial values of one parameter for each holder.

    Args:
        name: of the parameter; the purpose of its random stream.
        shape: of one replica's parameter.
        kind: `zeros`, `ones`, `signs` (1 or -1), `embedding` (normal, sd 0.02) or `linear` (uniform within
            1 / sqrt(fan in), where the fan in is the second-to-last axis; PyTorch's default for a linear layer).
        addresses: (seed, fold) of each holder; equal addresses get equal values.

    Returns:
        [holder, *shape] float32.
    """
    values = torch.empty((len(addresses), *shape), dtype=torch.float32, device=device)
    for address in dict.fromkeys(addresses):  # each goes to the device once
        drawn = torch.from_numpy(_draw(*address, name, shape, kind)).to(device)
        for row in (row for row, one in enumerate(addresses) if one == address):
            values[row] = drawn
    return values


def _draw(seed: int, fold: int, name: str, shape: tuple[int, ...], kind: str) -> NDArray[np.float32]:
    if kind == "zeros":
        return np.zeros(shape, np.float32)
    if kind == "ones":
        return np.ones(shape, np.float32)
    generator = stream(seed, fold, f"init/{name}")
    if kind == "signs":
        return (2 * generator.integers(0, 2, shape) - 1).astype(np.float32)
    if kind == "embedding":
        return generator.normal(0.0, 0.02, shape).astype(np.float32)
    bound = float(shape[-2] if len(shape) > 1 else shape[0]) ** -0.5
    return generator.uniform(-bound, bound, shape).astype(np.float32)
