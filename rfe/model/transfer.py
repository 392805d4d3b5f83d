"""From the host's numbers to the device's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(values: NDArray[Any] | Sequence[float] | Sequence[Sequence[float]], device: torch.device) -> Tensor:
    """Copy a step's tensors from the host to the device; the host continues while a GPU copies.

    A copy from ordinary memory would wait for all that the GPU was given before. Plain numbers become float32.
    """
    array = np.asarray(values)
    tensor = torch.from_numpy(array.astype(np.float32) if array.dtype == np.float64 else array)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)
