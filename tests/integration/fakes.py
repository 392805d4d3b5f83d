"""A tiny data folder, and a stand-in for training whose result is a pure function of the configuration."""

import csv
import os
import time
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from rfe.config.identity import config_id
from rfe.config.load import flatten
from rfe.config.schema import Config
from rfe.data.dataset import Dataset, load_dataset
from rfe.metrics.score import fold_totals
from rfe.search.work import WorkItem
from rfe.search.worker import Deliver, OnEpochEnd, WorkerSettings
from rfe.task import BLEMORE
from rfe.training.record import EpochReport, TrialResult

ENCODERS = {"good": 8, "weak": 6, "noise": 5}
TRAIN = "tests.integration.fakes:train_stack"
EPOCHS = 10
DIE, SLEEP, REAL = "die", "sleep", "real"
"""Files in the cache folder: the next stack's worker dies at once; each stack sleeps so many seconds; train truly."""


def train_with(train: str, stack: int) -> None:
    """Have the searches of this process train with a stand-in, `stack` configurations at a time."""
    from rfe.search import fleet

    fleet.open_fleet = partial(fleet.open_fleet, stack=stack, train=train)  # type: ignore[assignment]


def write_data(
    folder: Path, actors: int = 6, clips_per_actor: int = 36, folds: int = 3, targets: int = 12, seed: int = 0
) -> Path:
    """A data folder in the official form; every state occurs with every actor."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    rows, states = [], []
    for actor in range(actors):
        for clip in range(clips_per_actor):
            state = clip % BLEMORE.n_states
            percents = BLEMORE.state_percents(state)
            first, second = [*percents, ""][:2]
            salience = [percents[first], percents[second]] if second else ["", ""]
            rows.append([f"a{actor}_c{clip}", f"A{actor}", int(bool(second)), first, second, *salience, actor % folds])
            states.append(state)
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        names = ["filename", "video_id", "mix", "emotion_1", "emotion_2", "emotion_1_salience", "emotion_2_salience"]
        writer.writerow([*names, "fold", "split"])
        writer.writerows([*row, "train"] for row in rows)
        writer.writerows([f"t{i}", f"T{i % 2}", "", "", "", "", "", "", "test"] for i in range(targets))
    filenames = np.array([row[0] for row in rows] + [f"t{i}" for i in range(targets)])
    emotions = np.zeros((len(filenames), BLEMORE.n_classes))
    for row, state in enumerate(states):
        for emotion, percent in BLEMORE.state_percents(state).items():
            emotions[row, BLEMORE.classes.index(emotion)] = percent / 100
    for scale, (name, dim) in zip((2.0, 0.7, 0.0), ENCODERS.items(), strict=True):
        shown = scale * emotions @ rng.normal(size=(BLEMORE.n_classes, dim))
        values = (shown + rng.normal(size=(len(filenames), dim))).astype(np.float32)
        np.savez(folder / f"{name}_static_features.npz", X=values, filenames=filenames)
    return folder


def train_stack(
    items: Sequence[WorkItem], settings: WorkerSettings, device: str, on_epoch_end: OnEpochEnd, deliver: Deliver
) -> None:
    """A `TrainStack`; what it does besides is said by files in the cache folder."""
    if (settings.cache / DIE).exists():
        (settings.cache / DIE).unlink()
        os._exit(9)
    if (settings.cache / REAL).exists():
        from rfe.search import stack_training

        stack_training.train_stack(items, settings, device, on_epoch_end, deliver)
        return
    dataset = load_dataset(Path(items[0].data), items[0].encoders)
    seconds = float((settings.cache / SLEEP).read_text()) if (settings.cache / SLEEP).exists() else 0.0
    running = {item.key: item for item in items}
    results = {item.key: fake_result(Config.model_validate(item.config), dataset) for item in items}
    for epoch in range(1, EPOCHS + 1):
        time.sleep(seconds / EPOCHS)
        scores = {key: results[key].score * epoch / EPOCHS for key in running}
        scored = {key: score if epoch % 2 == 0 else None for key, score in scores.items()}
        for key, stop in on_epoch_end({key: EpochReport(epoch, EPOCHS, scored[key]) for key in running}).items():
            del running[key]
            deliver(key, TrialResult("", stop.state, stop.reason, curves={"score": [(epoch, scores[key])]}))
        if not running:
            return
    for key in running:
        with (settings.cache / "trained.txt").open("a") as file:
            file.write(f"{key}\n")
        deliver(key, results[key])


def fake_result(config: Config, dataset: Dataset) -> TrialResult:
    """Answers that are right more often the nearer the learning rate is to 0.003; 1.0 fails."""
    if config.train.lr == 1.0:
        return TrialResult(config_id(config), "failed", "the loss is no longer finite at epoch 1")
    clips = dataset.clips
    seeds = np.arange(config.train.seed, config.train.seed + config.train.seeds)
    truth = clips.state[: clips.n_source]
    usual = flatten(Config())  # left out, so that a new field changes no answer
    known = repr(
        sorted((k, v) for k, v in flatten(config).items() if usual.get(k) != v and not k.startswith("train.seed"))
    )
    skill = 0.6 - 0.1 * abs(np.log(config.train.lr / 0.003))
    predicted = np.empty((len(seeds), clips.n_source), np.int64)
    for row, seed in enumerate(seeds):
        rng = np.random.default_rng([zlib.crc32(known.encode()), int(seed)])
        right = rng.random(clips.n_source) < skill
        predicted[row] = np.where(right, truth, rng.integers(0, BLEMORE.n_states, clips.n_source))
    hits = fold_totals(clips.task, truth, predicted, clips.fold[: clips.n_source], clips.folds).mean()
    scores = hits.pooled()
    names = list(dataset.encoders)
    outputs = np.zeros((len(seeds), clips.n_source, 6), np.float32)
    targets = np.zeros((len(clips.folds), len(seeds), clips.n_target, 6), np.float32)
    return TrialResult(
        config_id=config_id(config),
        state="complete",
        folds=np.array(clips.folds),
        seeds=seeds,
        presence_logits=outputs,
        salience_logits=outputs,
        fused=outputs + 1 / 6,
        target_presence_logits=targets,
        target_salience_logits=targets,
        target_fused=targets + 1 / 6,
        set_offset=np.zeros((len(clips.folds), 16), np.float32),
        predicted_state=predicted,
        totals=dict(hits.totals),
        score=scores.score,
        acc_presence=scores.acc_presence,
        acc_salience=scores.acc_salience,
        curves={"train_loss": [(1, 2.0), (2, 1.0)], "score": [(2, scores.score)]},
        kept_frequency=dict.fromkeys(names if config.pool == "all" else config.pool, 1.0),
        gate_scores=np.zeros((len(seeds), clips.n_source, len(names)), np.float16),
        kept=np.ones((len(seeds), clips.n_source, len(names)), np.bool_),
        seconds=0.1,
        memory_mb=1.0,
        device="cpu",
        weights={f"fold{fold}.seed{seed}.w": np.zeros(3, np.float32) for fold in clips.folds for seed in seeds},
    )
