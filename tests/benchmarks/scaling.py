"""How cost grows: a figure and a slope each for clips, encoders and trials."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch

from rfe.search_space import load_space
from rfe.study import StudyStore, define_study
from rfe.training.allocator import keep_freed_memory
from tests.benchmarks.around import seconds
from tests.benchmarks.rows import Row
from tests.benchmarks.stacks import MadeUpFeatures, Size, StackTrainer, make_clips
from tests.unit.study.telling import tell

CLIPS = (2_456, 4_912, 9_824, 24_560)
ENCODERS = (4, 8, 16, 32, 64)
TRIALS = (10, 100, 1_000, 10_000)
COHORT = 8


def scaling_rows(output: Path) -> Iterator[Row]:
    """Rows, and `cost-*.png` and `.svg` in `output`."""
    torch.set_num_threads(1)
    keep_freed_memory()
    yield _row("clips", "an epoch of a stack of 20, demo size", CLIPS, [_epoch(n) for n in CLIPS], output)
    yield _row("encoders", "a step of a stack of 20, demo size", ENCODERS, [_step(n) for n in ENCODERS], output)
    yield _row("trials", "a study's books: asking and telling all of its trials", TRIALS, _books(), output)


def _epoch(n_clips: int) -> float:
    size = Size("demo", (64,) * 6, 64)
    clips = make_clips(n_clips)
    trainer = StackTrainer(size, 4, MadeUpFeatures(size, len(clips.filename), torch.device("cpu")), clips)
    steps = trainer.steps_per_epoch
    part = min(steps, 31)  # steps cost the same; all of the epoch's batches are drawn each time
    return seconds(lambda: trainer.train(part), 3) * steps / part


def _step(n_encoders: int) -> float:
    size = Size("demo", (64,) * n_encoders, 64)
    clips = make_clips()
    trainer = StackTrainer(size, 4, MadeUpFeatures(size, len(clips.filename), torch.device("cpu")), clips)
    return seconds(lambda: trainer.train(3), 5) / 3


def _books() -> list[float]:
    """Seconds until so many trials were asked for, cohort by cohort, and told."""
    space = load_space(
        {
            "study": "books",
            "space": {"train.lr": {"float": [1.0e-4, 1.0e-2], "log": True}, "model.dropout": {"float": [0.0, 0.5]}},
            "sampler": {"kind": "random"},
            "budget": {"trials": max(TRIALS)},
        }
    )
    definition = define_study(space, ("face", "voice"), seed=0, fingerprint="0" * 16)
    taken: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder, StudyStore.open(Path(folder) / "books", definition) as store:
        began = time.perf_counter()
        done = 0
        while done < max(TRIALS):
            for asked in store.ask(min(COHORT, max(TRIALS) - done)):
                tell(store, asked.number, state="complete", values=(0.3,))
                done += 1
                if done in TRIALS:
                    taken[done] = time.perf_counter() - began
    return [taken[n] for n in TRIALS]


def _row(what: str, cost: str, sizes: tuple[int, ...], taken: list[float], output: Path) -> Row:
    slope = float(np.polyfit(np.log(sizes), np.log(taken), 1)[0])
    last = float(np.log(taken[-1] / taken[-2]) / np.log(sizes[-1] / sizes[-2]))
    _draw(what, cost, sizes, taken, output)
    return Row(
        f"cost against {what} ({sizes[0]:,} to {sizes[-1]:,}): {cost}",
        f"{taken[0]:.3g} s to {taken[-1]:.3g} s, exponent {slope:.2f}, {last:.2f} at the end",
        target="linear (1) or better",
        met=max(slope, last) <= 1.1,  # a timing that is off by a twentieth moves the last slope by as much
    )


def _draw(what: str, cost: str, sizes: tuple[int, ...], taken: list[float], output: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure: Any
    axes: Any
    figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
    axes.loglog(sizes, taken, "o-", color="#0072b2", label="measured")
    linear = [taken[0] * n / sizes[0] for n in sizes]
    axes.loglog(sizes, linear, "--", color="#6b6b6b", label="linear from the first")
    axes.set_xlabel(what)
    axes.set_ylabel("seconds")
    axes.set_title(cost, fontsize=10)
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.minorticks_off()
    axes.legend(frameon=False)
    output.mkdir(parents=True, exist_ok=True)
    for kind in ("png", "svg"):
        figure.savefig(output / f"cost-{what}.{kind}", dpi=150)
    plt.close(figure)
