"""The replica engine on a GPU beside the plain loop there, and how near a step comes to what the device can do.

Both sides run their forward pass in bf16 with float32 weights. The roofline: a step must read and write every weight,
its gradient and both moments, and needs its matrix products; bandwidth and bf16 rate are measured here too.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import torch

from tests.benchmarks.rows import Row, ratio_text
from tests.benchmarks.stacks import FULL, MadeUpFeatures, PlainTrainer, Size, StackTrainer, make_clips
from tests.benchmarks.turns import Turns, take_turns

SIZE, CONFIGS = FULL, 26
"""130 replicas: the fewest configurations of five folds that are 128."""
PLAIN, COMPILED = "plain loop", "plain loop under torch.compile"
WEIGHT_PASSES = 10
"""float32 passes over all weights a step makes at least: read forwards; gradient written, and read by the optimiser;
weight and both moments read and written; the forward's copy in bf16 written and read (half a pass each)."""


def gpu_rows(
    rounds: int, device: torch.device | None = None, size: Size = SIZE, n_configs: int = CONFIGS, steps: int = 10
) -> Iterator[Row]:
    """Rows of the GPU; another device and size serve to try the code."""
    device = device or torch.device("cuda")
    clips = make_clips()
    features = MadeUpFeatures(size, len(clips.filename), device)
    stack = StackTrainer(size, n_configs, features, clips, device=device)

    def train_plainly(peer: PlainTrainer) -> None:
        with torch.autocast(device.type, torch.bfloat16):
            peer.train(steps)

    calls = {"rfe": _whole(lambda: stack.train(steps), device)}
    for name in (PLAIN, COMPILED) if device.type == "cuda" else (PLAIN,):
        peer = PlainTrainer(size, features, clips, str(device), compiled=name == COMPILED)
        call = _whole(partial(train_plainly, peer), device)
        if name == COMPILED and (why := failure_of(call)):
            print(f"torch.compile does not work here, the plain loop is the peer: {why}", flush=True)
            continue
        calls[name] = call
    turns = take_turns(calls, rounds)
    epoch = stack.steps_per_epoch / steps
    fair = Turns(
        {
            who: [epoch * one / (stack.n_replicas if who == "rfe" else 1) for one in seconds]
            for who, seconds in turns.seconds.items()
        }
    )
    best = min((who for who in calls if who != "rfe"), key=fair.median)
    ratio = fair.ratio(best, "rfe")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    yield Row(
        f"replica-epochs per second, {size.name} ({sum(size.dims):,} dimensions), {name}, bf16, stack of "
        f"{stack.n_replicas}, against the {best} there, as fast as it gets",
        f"{1 / fair.median('rfe'):.2f}",
        f"{1 / fair.median(best):.2f}",
        ratio_text(ratio),
        "20x",
        ratio[0] >= 20,
    )
    step = turns.median("rfe") / steps
    n_bytes, n_operations = least_work(size, stack.n_replicas)
    bandwidth, rate = measure_bandwidth(device), measure_rate(device)
    bound = max(n_bytes / bandwidth, n_operations / rate)
    yield Row(
        f"a step of that stack beside the measured roofline ({bandwidth / 1e9:,.0f} GB/s, {rate / 1e12:.1f} TFLOP/s "
        "in bf16)",
        f"{1e3 * step:.1f} ms",
        f"{1e3 * bound:.1f} ms: {n_bytes / 1e9:.1f} GB, {n_operations / 1e12:.2f} TFLOP",
        f"{bound / step:.0%}",
    )


def least_work(size: Size, n_replicas: int) -> tuple[float, float]:
    """(bytes, floating-point operations) that a step cannot do without: projections and gate, two thirds of the
    operations for the gradients (of the projections only those of the weights: features need none)."""
    hidden, n_encoders = size.latent, len(size.dims)
    weights = sum(size.dims) * hidden + 2 * hidden**2
    projection = 2 * size.batch * sum(size.dims) * hidden
    gate = 2 * size.batch * (n_encoders + 1) * hidden**2
    return 4.0 * WEIGHT_PASSES * weights * n_replicas, float(2 * projection + 3 * gate) * n_replicas


def measure_bandwidth(device: torch.device, n_bytes: int = 2**30) -> float:
    """Bytes per second of a copy, read and written."""
    source = torch.empty(n_bytes // 4, device=device)
    target = torch.empty_like(source)
    return 2 * n_bytes / _fastest(lambda: target.copy_(source), device)


def measure_rate(device: torch.device) -> float:
    """Floating-point operations per second of a bf16 matrix product."""
    n = 4096 if device.type == "cuda" else 512  # a CPU without bf16 instructions takes a minute for the larger one
    left, right = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 / _fastest(lambda: left @ right, device)


def failure_of(call: Callable[[], object]) -> str:
    """What went wrong, "" for nothing. A machine may lack the C compiler that torch.compile needs."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    return ""


def _fastest(call: Callable[[], object], device: torch.device) -> float:
    """Median seconds of a call, after a warm-up."""
    timed = _whole(call, device)
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        timed()
        seconds.append(time.perf_counter() - began)
    return median(seconds[1:])


def _whole(call: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """The call until the device has done all it was given."""

    def run() -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run
