"""Full-size data: what a trial takes after PCA, and what memory a worker needs beside the features it maps."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import torch

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import load_dataset
from rfe.data.simulate import SimulationSpec, simulate
from rfe.metrics.score import score
from rfe.training.configurations import train_configurations
from rfe.training.record import EpochReport, Stop
from tests.benchmarks.rows import Row

SEEDS, EPOCHS = 3, 40
PCA = 128


def full_size_rows() -> Iterator[Row]:
    """Rows of full-size data; a process each, so that memory is the work's own."""
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        simulate(SimulationSpec(size="full"), Path(scratch) / "data")
        simulated = time.perf_counter() - began
        trial = _in_own_process("trial", scratch)
        yield Row(
            f"a full-size trial, PCA to {PCA}: 5 folds x {SEEDS} seeds x {EPOCHS} epochs, two cores",
            f"{trial['train_s']:.0f} s (Score {trial['score']:.3f}); simulating took {simulated:.0f} s and preparing "
            f"the folds {trial['prepare_s']:.0f} s, once, with {trial['prepare_mib']:.0f} MiB at most",
            target="60 s",
            met=trial["train_s"] < 60,
        )
        memory = _in_own_process("memory", scratch)
        ratio = memory["peak_mib"] / memory["mapped_mib"]
        yield Row(
            "peak private memory of a worker over the features it maps, full size without PCA, 5 folds",
            f"{memory['peak_mib']:,.0f} MiB over {memory['mapped_mib']:,.0f} MiB",
            ratio=f"{ratio:.2f}x",
            target="1.5x",
            met=ratio < 1.5,
        )


def _in_own_process(part: str, scratch: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.full_size", part, scratch]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def time_trial(scratch: Path) -> dict[str, float]:
    """Seconds to prepare and to train, and the Score."""
    dataset = load_dataset(scratch / "data")
    cache = FeatureCache(dataset, scratch / "cache")
    changes = {"data.reduce": PCA, "data.standardize": "actor", "model.latent_dim": 128, "train.batch_size": 64}
    config = change_config(Config(), {**changes, "train.seeds": SEEDS, "train.epochs": EPOCHS})
    began = time.perf_counter()
    train_configurations([change_config(config, {"train.epochs": 1, "train.seeds": 1})], dataset, cache, threads=2)
    prepared = time.perf_counter() - began
    memory = psutil.Process().memory_full_info().uss
    began = time.perf_counter()
    (result,) = train_configurations([config], dataset, cache, threads=2, keep_weights=False)
    assert result.state == "complete", result.reason
    return {
        "prepare_s": prepared,
        "prepare_mib": memory / 2**20,
        "train_s": time.perf_counter() - began,
        "score": float(score(dataset.clips.state[: dataset.clips.n_source], result.predicted_state[0]).score),
    }


def measure_memory(scratch: Path) -> dict[str, float]:
    """Private memory while one configuration trains on all dimensions, and the size of what it maps."""
    dataset = load_dataset(scratch / "data")
    cache = FeatureCache(dataset, scratch / "cache")
    config = change_config(Config(), {"data.standardize": "fold", "model.latent_dim": 128, "train.epochs": 2})
    train_configurations([change_config(config, {"pool": list(dataset.encoders)[:1]})], dataset, cache, threads=2)
    mapped = sum(
        cache.prepared(name, fold, standardize="fold").values.nbytes
        for name in dataset.encoders
        for fold in dataset.clips.folds
    )
    peak = [0]

    def look(reports: Mapping[int, EpochReport]) -> Mapping[int, Stop]:
        peak[0] = max(peak[0], psutil.Process().memory_full_info().uss)
        return {}

    train_configurations([config], dataset, cache, threads=2, keep_weights=False, on_epoch=look)
    return {"peak_mib": peak[0] / 2**20, "mapped_mib": mapped / 2**20}


if __name__ == "__main__":
    torch.set_num_threads(2)
    work = {"trial": time_trial, "memory": measure_memory}[sys.argv[1]]
    print(json.dumps(work(Path(sys.argv[2]))))
