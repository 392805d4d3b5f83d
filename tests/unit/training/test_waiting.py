"""An epoch never waits for its device: the host hands over work, and asks for the losses once, at the end.

On a GPU every answer that the host asks for, and every copy from ordinary memory, waits until all work given before is
done. PyTorch's `meta` device holds no numbers, so that whoever asks for one is caught, and it refuses tensors of
another device: what a GPU would do without one.
"""

import warnings
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from rfe.model import blocks, fusion_model, gate
from rfe.training.build import Replica
from rfe.training.engine import Stack
from tests.unit.training.stacks import make_stack
from tests.unit.training.test_engine import ADAPTED, VARIED

META = torch.device("meta")
FAMILIES = pytest.mark.parametrize(
    ("replicas", "n_drawn", "kind", "members"),
    [
        (VARIED, 0, "fusion", 1),
        (VARIED[:1], 0, "fusion", 1),
        (ADAPTED, 24, "fusion", 1),
        (VARIED, 0, "concat_mlp", 1),
        (VARIED, 0, "fusion", 2),
    ],
    ids=["varied", "alone", "adapted", "baseline", "members"],
)


class Watch(TorchDispatchMode):
    """Counts what is asked of the device and what is copied there, waiting or not."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.waited_for, self.handed_over = 0, 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default:
            if args[0].device == META and kwargs.get("device", META) != META:
                self.asked += 1
                return torch.zeros(args[0].shape, dtype=args[0].dtype)
            if args[0].device != META:
                self.handed_over += bool(kwargs.get("non_blocking"))
                self.waited_for += not kwargs.get("non_blocking")
        return func(*args, **kwargs)


class MadeOfNumbers(TorchFunctionMode):
    """Counts tensors made of Python's numbers, which are copied from ordinary memory."""

    made = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        self.made += func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor)
        return func(*args, **(kwargs or {}))


@FAMILIES
@pytest.mark.parametrize("low", [None, torch.bfloat16], ids=["float32", "bf16"])
def test_an_epoch_asks_its_device_for_nothing_but_the_losses(
    replicas: list[Replica],
    n_drawn: int,
    kind: str,
    members: int,
    low: torch.dtype | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Stack, "precision", lambda stack: nullcontext())  # there is no autocast for this device
    monkeypatch.setattr(fusion_model, "full_precision", lambda device: nullcontext())
    for module in (blocks, gate):
        monkeypatch.setattr(module, "low_precision", lambda device: low)
    stack = make_stack(replicas, n_drawn, kind=kind, device="meta", members=members)
    stack.take([True] * len(replicas))
    with Watch() as watch, MadeOfNumbers() as numbers:
        stack.train_epoch()
    assert (watch.asked, watch.waited_for, numbers.made) == (1, 0, 0)
    assert watch.handed_over > stack.plan.n_steps


@pytest.mark.gpu
@FAMILIES
def test_a_gpu_is_waited_for_once_an_epoch(replicas: list[Replica], n_drawn: int, kind: str, members: int) -> None:
    stack = make_stack(replicas, n_drawn, kind=kind, device="cuda", members=members)
    stack.train_epoch()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stack.train_epoch()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert sum("synchronizing" in str(one.message) for one in caught) == 1
