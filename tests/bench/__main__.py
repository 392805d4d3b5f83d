"""What the two costly steps take: training stacks of configurations, and fitting decoders."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.simulate import SimulationSpec, simulate
from rfe.decoding.base import Outputs
from rfe.decoding.fitting import build_decoder
from rfe.training.configurations import train_configurations

STACKS = (1, 4, 16)
EPOCHS = 5
CLIPS = 522
"""Of the largest official fold."""
REPLICAS = 64
KINDS = (("official", "grid"), ("official", "exact"), ("decoupled", "exact"), ("valid_states", "grid"))


def main() -> None:
    """Print both tables."""
    print(f"{os.cpu_count()} CPUs; simulated data of the demo's size\n")
    with tempfile.TemporaryDirectory() as folder:
        data = load_dataset(simulate(SimulationSpec(), Path(folder) / "data"))
        cache = FeatureCache(data, Path(folder) / "cache")
        print("| configurations in one stack | seconds | seconds for each |\n|---|---|---|")
        for size, seconds in time_stacks(data, cache):
            print(f"| {size} | {seconds:.2f} | {seconds / size:.2f} |")
        print(f"\n| decoder fitted on {CLIPS} clips | one, ms | {REPLICAS} at a time, ms for each |\n|---|---|---|")
        for name, one, many in time_decoders(data):
            print(f"| {name} | {1e3 * one:.2f} | {1e3 * many / REPLICAS:.3f} |")


def time_stacks(data: Dataset, cache: FeatureCache) -> Iterator[tuple[int, float]]:
    """(size, seconds) of training stacks of configurations that differ in their learning rate."""
    _train(1, data, cache)  # prepares the features and wakes torch
    for size in STACKS:
        began = time.perf_counter()
        _train(size, data, cache)
        yield size, time.perf_counter() - began


def _train(size: int, data: Dataset, cache: FeatureCache) -> None:
    rates = np.geomspace(1e-3, 1e-2, size).tolist()
    configs = [change_config(Config(), {"train.epochs": EPOCHS, "train.lr": rate}) for rate in rates]
    train_configurations(configs, data, cache, keep_weights=False)


def time_decoders(data: Dataset) -> Iterator[tuple[str, float, float]]:
    """(name, seconds of one fit, seconds of one call for all replicas)."""
    stream = np.random.default_rng(0)
    truth = data.clips.state[:CLIPS]
    logits = stream.normal(0, 2, (2, REPLICAS, CLIPS, 6)).astype(np.float32)
    fused = np.exp(logits[1]) / np.exp(logits[1]).sum(-1, keepdims=True)
    outputs = Outputs(logits[0], logits[1], fused, "bce")
    alone = Outputs(logits[0, 0], logits[1, 0], fused[0], "bce")
    for kind, thresholds in KINDS:
        fit = build_decoder(kind, thresholds).fit
        name = kind if kind == "valid_states" else f"{kind}, {thresholds} thresholds"
        yield name, _best(partial(fit, alone, truth)), _best(partial(fit, outputs, truth))


def _best(call: Callable[[], object], repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


if __name__ == "__main__":
    main()
