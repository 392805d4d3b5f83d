"""Full-size data: what a trial takes after PCA, and what memory a worker needs beside the features it maps; and whether
that memory stays the same for ten times the clips."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Self

import psutil
import torch

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import load_dataset
from rfe.data.simulate import SimulationSpec, simulate
from rfe.metrics.intervals import InfluenceTable, difference_interval
from rfe.metrics.score import score
from rfe.task import BLEMORE
from rfe.training.configurations import train_configurations
from tests.benchmarks.rows import Row

SEEDS, EPOCHS = 3, 40
SCORE_SEEDS, SCORE_EPOCHS = 2, 20
"""Of the comparison of Scores: training without PCA takes long."""
PCA = 128
FEW_CLIPS, MANY_CLIPS = 10_000, 100_000
CLIPS_PER_ACTOR = 50


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
        scores = _in_own_process("scores", scratch)
        yield Row(
            f"crossfit Score at full size, PCA to {PCA} against none: 5 folds x {SCORE_SEEDS} seeds x {SCORE_EPOCHS} "
            "epochs",
            f"{scores['pca']:.3f}",
            f"{scores['none']:.3f}",
            f"difference {scores['difference']:+.3f} [{scores['low']:+.3f}, {scores['high']:+.3f}]",
            "not worse",
            scores["high"] > 0,
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
        few, many = (_in_own_process("many", scratch, str(clips)) for clips in (FEW_CLIPS, MANY_CLIPS))
        yield Row(
            f"memory of its own that training adds to a worker: {MANY_CLIPS:,} clips (demo dimensions), {FEW_CLIPS:,}",
            f"{many['added_mib']:,.0f} MiB beside {many['mapped_mib']:,.0f} MiB mapped; "
            f"{many['prepare_mib']:,.0f} MiB more while features are prepared",
            f"{few['added_mib']:,.0f} MiB beside {few['mapped_mib']:,.0f} MiB mapped; {few['prepare_mib']:,.0f} MiB",
            ratio=f"{many['added_mib'] / few['added_mib']:.1f}x for {MANY_CLIPS / FEW_CLIPS:g}x the clips",
        )


def _in_own_process(part: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.full_size", part, *arguments]
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
        "score": float(score(BLEMORE, dataset.clips.state[: dataset.clips.n_source], result.predicted_state[0]).score),
    }


def compare_scores(scratch: Path) -> dict[str, float]:
    """Score of the same configuration with PCA and without, and the paired difference with its 95% interval."""
    dataset = load_dataset(scratch / "data")
    cache = FeatureCache(dataset, scratch / "cache")
    clips = dataset.clips
    truth, actor, fold = (one[: clips.n_source] for one in (clips.state, clips.actor, clips.fold))
    tables, scores = {}, {}
    for name, width in (("pca", PCA), ("none", None)):
        changes = {"data.reduce": width, "data.standardize": "actor", "model.latent_dim": 128, "train.batch_size": 64}
        config = change_config(Config(), {**changes, "train.seeds": SCORE_SEEDS, "train.epochs": SCORE_EPOCHS})
        (result,) = train_configurations([config], dataset, cache, threads=2, keep_weights=False)
        assert result.state == "complete", result.reason
        tables[name] = InfluenceTable.of_answers(BLEMORE, truth, result.predicted_state, actor, fold)
        scores[name] = result.score
    found = difference_interval(tables["pca"], tables["none"])
    low, high = found.bounds()
    return {**scores, "difference": found.estimate, "low": low, "high": high}


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
    with MemoryPeak(_private) as memory:
        train_configurations([config], dataset, cache, threads=2, keep_weights=False)
    return {"peak_mib": memory.peak_mib, "mapped_mib": mapped / 2**20}


def measure_many_clips(scratch: Path, n_clips: int) -> dict[str, float]:
    """Memory of its own (not of mapped files) that preparing and training add on so many clips, and what is mapped."""
    folder = scratch / f"clips-{n_clips}"
    actors = n_clips // CLIPS_PER_ACTOR
    spec = SimulationSpec(actors=actors, test_actors=0, clips_per_actor=CLIPS_PER_ACTOR)
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # what it frees would be there for what is measured
        apart.submit(simulate, spec, folder / "data").result()
    dataset = load_dataset(folder / "data")
    cache = FeatureCache(dataset, folder / "cache")
    config = change_config(Config(), {"data.standardize": "fold", "train.epochs": 1, "train.batch_size": 256})
    folds = dataset.clips.folds
    with MemoryPeak(_anonymous) as preparing:
        mapped = sum(
            cache.prepared(name, fold, standardize="fold").values.nbytes for name in dataset.encoders for fold in folds
        )
    with MemoryPeak(_anonymous) as training:
        train_configurations([config], dataset, cache, threads=2, keep_weights=False)
    return {
        "prepare_mib": preparing.peak_mib - preparing.first_mib,
        "added_mib": training.peak_mib - training.first_mib,
        "mapped_mib": mapped / 2**20,
    }


class MemoryPeak:
    """Peak of this process's memory, in MiB, while the context is open; looked at fifty times a second."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def __enter__(self) -> Self:
        self.first_mib = self.peak_mib = self._now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.peak_mib = max(self.peak_mib, self._now())


def _private() -> float:
    """USS: what no other process has, pages of mapped files that only this one reads among it."""
    return float(psutil.Process().memory_full_info().uss) / 2**20


def _anonymous() -> float:
    """Without the pages of mapped files, which go when others need the memory."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 2**10


if __name__ == "__main__":
    torch.set_num_threads(2)
    if sys.argv[1] == "many":
        print(json.dumps(measure_many_clips(Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        work = {"trial": time_trial, "scores": compare_scores, "memory": measure_memory}[sys.argv[1]]
        print(json.dumps(work(Path(sys.argv[2]))))
