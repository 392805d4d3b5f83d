"""What a stack takes is its own: not what the process took before it."""

import math
import mmap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rfe.training import usage
from rfe.training.record import TrialResult
from rfe.training.usage import Usage, UsageMeter

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A stand-in for the GPU's counters."""

    def install(percents: list[float], peak_bytes: int = 3 * 2**20) -> None:
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: peak_bytes)
        monkeypatch.setattr(torch.cuda, "utilization", lambda device: percents.pop(0))

    return install


def test_the_peak_of_an_earlier_stack_is_not_a_later_ones() -> None:
    """Before, each trial of a worker showed the largest peak of all trials before it."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # a system that can reset the peak
    UsageMeter(CPU)
    with mmap.mmap(-1, 64 * 2**20) as large:  # an array may lie in memory that the process has kept from earlier ones
        large.write(b"1" * len(large))
        before = UsageMeter(CPU)
        with_it = before.read().memory_mb
    after = UsageMeter(CPU).read().memory_mb
    assert after < with_it - 32
    assert math.isnan(before.read().gpu_memory_mb)
    assert math.isnan(before.read().gpu_percent)


def test_a_process_whose_peak_cannot_be_reset_still_has_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(usage, "Path", lambda name: tmp_path / "missing" / "file")
    assert UsageMeter(CPU).read().memory_mb > 10


def test_the_gpus_use_is_the_mean_of_looks_a_second_apart(
    gpu: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.0, 0.5, 2.0, 2.0])
    monkeypatch.setattr(usage, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    gpu([20.0, 60.0, 100.0])
    meter = UsageMeter(GPU)
    for _ in range(3):
        meter.sample()
    assert meter.read().gpu_percent == 40.0
    assert meter.read().gpu_memory_mb == 3.0


def test_a_gpu_that_does_not_tell_is_no_error(gpu: Callable[..., None]) -> None:
    gpu([])  # raises IndexError, as torch raises ModuleNotFoundError without nvidia-ml-py
    meter = UsageMeter(GPU)
    meter.sample()
    assert math.isnan(meter.read().gpu_percent)
    assert meter.read().gpu_memory_mb == 3.0


def test_folds_trained_first_count_with_the_rest() -> None:
    former = TrialResult("id", "complete", seconds=10.0, memory_mb=50.0, gpu_memory_mb=9.0, gpu_percent=20.0)
    both = Usage(40.0, 8.0, 80.0).after(former, seconds=30.0)
    assert both == Usage(50.0, 9.0, 65.0)
    assert Usage(1.0, 2.0, 3.0).after(None, 1.0) == Usage(1.0, 2.0, 3.0)
    unknown = Usage(40.0).after(TrialResult("id", "complete", seconds=10.0), 1.0)
    assert unknown.memory_mb == 40.0
    assert math.isnan(unknown.gpu_percent)
