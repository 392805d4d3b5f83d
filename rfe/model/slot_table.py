"""Which encoder of the data set sits in which slot of each replica of a stack."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rfe.model.parameters import of_replicas
from rfe.model.settings import ReplicaSettings


class SlotTable:
    """Slot j of a replica is the j-th encoder of its pool.

    Args:
        settings: of the stack's replicas.
        n_encoders: of the data set.
        device: where the stack's tensors are.
    """

    def __init__(self, settings: Sequence[ReplicaSettings], n_encoders: int, device: torch.device) -> None:
        self.n_encoders = n_encoders
        n_slots = max(len(one.pool) for one in settings)
        slots = [[*one.pool, *[-1] * (n_slots - len(one.pool))] for one in settings]
        self.encoder = torch.tensor(slots, device=device)
        """[replica, slot], -1 unused"""
        self._used = self.encoder >= 0
        pools = {one.pool for one in settings}
        self._one_pool = torch.tensor(pools.pop(), device=device) if len(pools) == 1 else None  # [slot]
        # Projections are computed encoder by encoder and concatenated; each (replica, slot) finds its row here.
        rows: dict[tuple[int, int], int] = {}
        for encoder in range(n_encoders):
            for replica, one in enumerate(settings):
                if encoder in one.pool:
                    rows[replica, encoder] = len(rows)
        table = [[rows.get((r, e), len(rows)) for e in row] for r, row in enumerate(slots)]
        self._row = torch.tensor(table, device=device).flatten()

    def mask(self, available: Tensor) -> Tensor:
        """[replica, encoder, clip] -> [replica, slot, clip] bool, False in unused slots."""
        mask = self.take(available)
        return mask if self._one_pool is not None else mask & self._used.unsqueeze(-1)

    def take(self, values: Tensor, row: Tensor | None = None, replicas: Tensor | None = None) -> Tensor:
        """[row, encoder, ...] -> [replica, slot, ...] of each slot's encoder.

        Args:
            values: by encoder of the data set.
            row: [replica] of `values`; None: the replica's own.
            replicas: ascending, those that `values` has rows of; None: all.
        """
        if row is None and self._one_pool is not None:
            return values if len(self._one_pool) == self.n_encoders else values.index_select(1, self._one_pool)
        if row is None:
            row = torch.arange(values.shape[0], device=values.device)
        encoder = self.encoder if replicas is None else of_replicas(self.encoder, replicas)
        rows = row.unsqueeze(1) * self.n_encoders + encoder.clamp(min=0)
        taken = values.flatten(0, 1).index_select(0, rows.flatten())
        return taken.view(*encoder.shape, *values.shape[2:])

    def gather(self, projected: Sequence[Tensor]) -> Tensor:
        """[holder, clip, latent] of each encoder that any pool holds -> [replica, slot, clip, latent]; 0 if unused."""
        if self._one_pool is not None:
            return torch.stack(list(projected), 1)
        rows = torch.cat([*projected, projected[0].new_zeros(1, *projected[0].shape[1:])])  # the last: unused slots
        return rows.index_select(0, self._row).view(*self.encoder.shape, *rows.shape[1:])
