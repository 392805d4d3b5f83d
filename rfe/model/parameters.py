"""Parameters of a stack: each tensor has a leading axis over the replicas that hold it."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rfe.model.random import stream


@dataclass
class StackedParameter:
    """One named parameter of all replicas that have it."""

    value: Tensor
    """[holder, ...] leaf tensor."""
    holders: Tensor
    """[holder] ascending index of each holder in the stack (int64, on the value's device)."""
    everyone: bool
    """Whether all replicas of the stack hold it, so that `value` can be used without indexing."""

    def __post_init__(self) -> None:
        self._replicas: list[int] = self.holders.tolist()

    def rows(self, first: int, last: int) -> slice | None:
        """Rows of the replicas `first` to `last`, the latter excluded; None if none of them holds it."""
        rows = slice(bisect_left(self._replicas, first), bisect_left(self._replicas, last))
        return rows if rows.start < rows.stop else None

    def take(self, kept: Tensor) -> "StackedParameter":
        """The parameter of the replicas where `kept` ([replica] bool) is True, in a stack of those alone."""
        position = torch.cumsum(kept.long(), 0) - 1
        mine = kept[self.holders]
        holders = position[self.holders[mine]]
        value = self.value.detach()[mine].clone().requires_grad_(True)
        return StackedParameter(value, holders, len(holders) == int(kept.sum()))


def initialise(
    name: str, shape: tuple[int, ...], kind: str, addresses: list[tuple[int, int]], device: torch.device
) -> Tensor:
    """Initial values of one parameter for each holder.

    Args:
        name: of the parameter; the purpose of its random stream.
        shape: of one replica's parameter.
        kind: `zeros`, `ones`, `embedding` (normal, sd 0.02) or `linear` (uniform within 1 / sqrt(fan in), where the
            fan in is the second-to-last axis; PyTorch's default for a linear layer).
        addresses: (seed, fold) of each holder; equal addresses get equal values.

    Returns:
        [holder, *shape] float32.
    """
    drawn: dict[tuple[int, int], NDArray[np.float32]] = {}
    for seed, fold in addresses:
        if (seed, fold) not in drawn:
            drawn[seed, fold] = _draw(seed, fold, name, shape, kind)
    values = torch.empty((len(addresses), *shape), dtype=torch.float32)
    for index, address in enumerate(addresses):
        values[index] = torch.from_numpy(drawn[address])
    return values.to(device)


def _draw(seed: int, fold: int, name: str, shape: tuple[int, ...], kind: str) -> NDArray[np.float32]:
    if kind == "zeros":
        return np.zeros(shape, np.float32)
    if kind == "ones":
        return np.ones(shape, np.float32)
    generator = stream(seed, fold, f"init/{name}")
    if kind == "embedding":
        return generator.normal(0.0, 0.02, shape).astype(np.float32)
    bound = float(shape[-2] if len(shape) > 1 else shape[0]) ** -0.5
    return generator.uniform(-bound, bound, shape).astype(np.float32)
