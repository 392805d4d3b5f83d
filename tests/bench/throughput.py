"""Trials per hour: rfe beside what Ray's documentation shows, and beside a plain Optuna loop.

`python -m tests.bench.throughput [--trials 96] [--documented 12] [--optuna 24] [-o FOLDER]`. Demo-size configurations,
the same for all; both peers cost the same for every trial, so they may be timed on the first few.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

from rfe import api
from rfe.data.cache import FeatureCache
from rfe.data.dataset import load_dataset
from rfe.data.simulate import SimulationSpec, simulate
from rfe.tracking.base import TrialLog
from rfe.tracking.records import read_events, read_records
from rfe.workspace import open_workspace
from tests.evidence.simulated import table

SPACE = """
study: throughput
base:
  model: {latent_dim: 64}
  train: {epochs: 20, batch_size: 64}
  data: {standardize: actor}
space:
  model.n_kept: {int: [1, 6]}
  model.dropout: {float: [0.0, 0.5]}
  model.head_fusion.presence_weight: {float: [0.0, 1.0]}
  train.lr: {float: [5.0e-4, 5.0e-3], log: true}
sampler: {kind: random}
confirm: {top: 0}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=96)
    parser.add_argument("--documented", type=int, default=12)
    parser.add_argument("--optuna", type=int, default=24)
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/benchmarks/throughput"))
    chosen = parser.parse_args()
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        simulate(SimulationSpec(), folder / "data")
        rows = [run_rfe(folder, chosen.trials)]
        configs = rows[0].pop("configs")
        (folder / "configs.json").write_text(json.dumps(configs))
        for peer, n in (("optuna", chosen.optuna), ("documented", chosen.documented)):
            rows.append(in_own_process(peer, folder, min(n, len(configs))))
            write(rows, chosen.output)


def run_rfe(folder: Path, trials: int) -> dict[str, Any]:
    """The search as a user starts it, MLflow and all."""
    (folder / "space.yaml").write_text(SPACE)
    workspace = open_workspace(folder / "workspace")
    began = time.time()
    api.search(folder / "space.yaml", folder / "data", trials=trials, workspace=workspace)
    whole_s = time.time() - began
    study = workspace.study("throughput")
    logs = [event for event in read_events(study) if isinstance(event, TrialLog)]
    idle_s = next(float(one.data["idle_s"]) for one in read_records(study.journal) if one.kind == "pool")
    ends = sorted(log.time for log in logs)
    first = sum(end <= ends[0] + 1.0 for end in ends)  # those of the first stacks, which began with the workers
    steady_s = (ends[-1] - ends[0]) / (len(logs) - first)
    workers = 2
    trained_s = sum(log.seconds for log in logs)
    opening = sorted(logs, key=lambda log: log.time)[:first]
    began_training = ends[0] - sum(log.seconds for log in opening) / min(workers, max(1, first // 4))
    return {
        "name": "rfe search",
        "trials": len(logs),
        "whole_s": whole_s,
        "steady_s": steady_s,
        "start_s": began_training - began,
        "training": trained_s / workers / (ends[-1] - began_training),
        "idle_s": idle_s,
        "score": median(log.scores["score"] for log in logs if log.score is not None),
        "scores": {log.number: log.score for log in logs},
        "configs": [dict(log.config) for log in sorted(logs, key=lambda log: log.number)],
    }


def in_own_process(peer: str, folder: Path, n: int) -> dict[str, Any]:
    """A peer in a process of its own, as nothing of rfe's may be warm for it."""
    command = [sys.executable, "-m", "tests.bench.throughput_peer", peer, str(folder), str(n)]
    began = time.time()
    subprocess.run(command, check=True)
    result: dict[str, Any] = json.loads((folder / f"{peer}.json").read_text())
    return {"whole_s": time.time() - began, **result}


def write(rows: list[dict[str, Any]], output: Path) -> None:
    """Table and numbers so far."""
    rfe = rows[0]
    lines = []
    for row in rows:
        whole_s = row["whole_s"] if row["trials"] == rfe["trials"] else None
        mine = [rfe["scores"][index] for index in range(row["trials"])]
        lines.append(
            [
                row["name"],
                str(row["trials"]),
                f"{3600 / row['steady_s']:.0f}",
                f"{row['steady_s'] / rfe['steady_s']:.1f}",
                f"{row['whole_s']:.0f}" + ("" if whole_s else " (of these only)"),
                f"{mean(row['scores'].values()) if isinstance(row['scores'], Mapping) else mean(row['scores']):.3f}",
                f"{mean(mine):.3f}",
            ]
        )
    header = ["", "trials", "trials per hour, steady", "time per trial / rfe's", "wall clock, s", "mean Score"]
    text = "\n\n".join(
        [
            "# Trials per hour",
            "`python -m tests.bench.throughput`",
            "Simulated data of the demo's size (2,456 clips, 6 encoders x 64, 5 folds), H 64, batch 64, 20 epochs, "
            "float32: the same configurations, optimiser steps and decoder for all. rfe trains with one thread in each "
            "of two workers; the Optuna loop with the better of one and two threads; the documented pattern with two "
            "trials at a time, a thread each.",
            table([*header, "rfe's on the same"], lines),
            f"rfe: {rfe['training']:.0%} of its workers' time from the first stack to the last result is training, the "
            f"rest is everything else; workers waited for work {rfe['idle_s']:.1f} s in all; the first stacks began "
            f"after about {rfe['start_s']:.0f} s.",
            f"{os.cpu_count()} CPUs ({platform.machine()}), torch {torch.__version__}, Python "
            f"{platform.python_version()}. One run, one after the other on the same machine.",
        ]
    )
    output.mkdir(parents=True, exist_ok=True)
    (output / "README.md").write_text(text + "\n")
    (output / "throughput.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(text)


def peer_main(peer: str, folder: Path, n: int) -> None:
    """What `in_own_process` runs."""
    from tests.bench import peers

    configs = json.loads((folder / "configs.json").read_text())[:n]
    if peer == "documented":
        scratch = folder / "documented"
        scratch.mkdir()
        began = time.time()
        scores = peers.run_documented_pattern(configs, folder / "data", folder / "workspace" / "cache", scratch, 2)
        steady_s, name = (time.time() - began) / n, "(a) one TorchTrainer per Tune trial"
    else:
        dataset = load_dataset(folder / "data")
        cache = FeatureCache(dataset, folder / "workspace" / "cache")
        peers.run_optuna_loop(configs[:1], dataset, cache, 1)  # wakes torch
        seconds = {}
        for threads in (1, 2):
            began = time.time()
            peers.run_optuna_loop(configs[:3], dataset, cache, threads)
            seconds[threads] = time.time() - began
        best = min(seconds, key=lambda threads: seconds[threads])
        began = time.time()
        scores = peers.run_optuna_loop(configs, dataset, cache, best)
        steady_s, name = (time.time() - began) / n, f"(b) a plain Optuna loop, {best} thread{'s' * (best > 1)}"
    result = {"name": name, "trials": n, "steady_s": steady_s, "scores": scores}
    (folder / f"{peer}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
