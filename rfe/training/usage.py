"""What training takes of its machine: peak memory, and how busy the GPU is."""

import math
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from rfe.training.record import TrialResult

SAMPLE_S = 1.0
"""Shortest time between two looks at the GPU; the driver itself averages over a fraction of a second."""
MIB = 2**20
_RESET_PEAK = "5"
"""Written to `/proc/self/clear_refs`: the process's peak memory becomes what it holds now."""


@dataclass(frozen=True)
class Usage:
    """What a stack took so far; NaN where it cannot be known."""

    memory_mb: float = math.nan
    """Peak resident memory of the process, in MiB."""
    gpu_memory_mb: float = math.nan
    """Peak memory allocated on the GPU, in MiB."""
    gpu_percent: float = math.nan
    """Mean share of time in which the GPU computed, for this process or another, in percent."""

    def after(self, former: TrialResult | None, seconds: float) -> "Usage":
        """Of this part, which took `seconds`, and of the folds that were trained before it: peaks, and the mean."""
        if former is None:
            return self
        parts = [(self.gpu_percent, seconds), (former.gpu_percent, former.seconds)]
        known = [(percent, weight) for percent, weight in parts if math.isfinite(percent) and weight > 0]
        total = sum(weight for _, weight in known)
        return Usage(
            _larger(self.memory_mb, former.memory_mb),
            _larger(self.gpu_memory_mb, former.gpu_memory_mb),
            sum(percent * weight for percent, weight in known) / total if known else math.nan,
        )


class UsageMeter:
    """Measures from its creation on. One at a time: a process and a GPU have one peak each, which it resets.

    Without the reset each trial of a worker would show the largest of all trials before it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device if device.type == "cuda" else None
        self._percents: list[float] = []
        self._looked = -math.inf
        with suppress(OSError):  # a read-only /proc: the peak is then that of the process so far
            Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
        if self._device is not None:
            torch.cuda.reset_peak_memory_stats(self._device)

    def sample(self) -> None:
        """Look how busy the GPU is, at most once in `SAMPLE_S`; needs the package nvidia-ml-py."""
        if self._device is None or time.monotonic() - self._looked < SAMPLE_S:
            return
        self._looked = time.monotonic()
        # nvidia-ml-py is not installed, or the driver does not tell (some virtual GPUs)
        with suppress(Exception):
            self._percents.append(float(torch.cuda.utilization(self._device)))

    def read(self) -> Usage:
        """What was taken so far."""
        return Usage(
            _resident_peak_mb(),
            math.nan if self._device is None else torch.cuda.max_memory_allocated(self._device) / MIB,
            sum(self._percents) / len(self._percents) if self._percents else math.nan,
        )


def _resident_peak_mb() -> float:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _larger(one: float, other: float) -> float:
    """The larger one; one that is not known does not count."""
    return max((value for value in (one, other) if math.isfinite(value)), default=math.nan)
