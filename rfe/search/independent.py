"""Workers of Ray Train that share no process group.

A separate module: Ray Train's controller imports it, and importing torch with it would add a second to every start.
"""

from dataclasses import dataclass

from ray.train.backend import Backend, BackendConfig


class IndependentBackend(Backend):  # type: ignore[misc]  # Ray is untyped
    """Ray Train replaces a lost worker and leaves the others alone; each sees its own GPUs only, the first is its
    device."""

    has_replica_groups = True


@dataclass
class IndependentConfig(BackendConfig):  # type: ignore[misc]  # Ray is untyped
    """Stands for `TorchConfig`, without `torch.distributed`."""

    backend: str = "none"
    """`TorchTrainer` asks for a name."""

    @property
    def backend_cls(self) -> type[Backend]:
        return IndependentBackend
