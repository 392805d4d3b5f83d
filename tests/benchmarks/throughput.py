"""Trials per hour: rfe beside what Ray's documentation shows, and beside a plain Optuna loop.

`python -m tests.benchmarks.throughput [--trials 96] [--documented 24] [--optuna 32] [--rounds 3] [-o FOLDER]`

Demo-size configurations, the same for all. The three take turns, some trials each round, because a machine that others
use too is not as fast at one hour as at the next; both peers cost the same for every trial, so they may be timed on a
part.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

from rfe import api
from rfe.data.cache import FeatureCache
from rfe.data.dataset import load_dataset
from rfe.data.simulate import SimulationSpec, simulate
from rfe.journal.events import TrialLog
from rfe.journal.records import read_events, read_records
from rfe.workspace import StudyFolder, open_workspace
from tests.benchmarks.searching import SPACE, STUDY
from tests.evidence.simulated import table

CONCURRENT = 2
"""Trials at a time of the documented pattern."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=96)
    parser.add_argument("--documented", type=int, default=24)
    parser.add_argument("--optuna", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/benchmarks/throughput"))
    chosen = parser.parse_args()
    if chosen.documented // chosen.rounds <= CONCURRENT:
        parser.error(f"--documented {chosen.documented}: more than {CONCURRENT} a round are needed to time it")
    # Ray's workers would yield to whatever else runs, a plain loop would not
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "RAY_worker_niceness": "0"}
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        simulate(SimulationSpec(), folder / "data")
        (folder / "space.yaml").write_text(SPACE + "sampler: {kind: random}\n")
        for number in range(1, chosen.rounds + 1):
            rfe = run_rfe(folder, chosen.trials * number // chosen.rounds)
            (folder / "configs.json").write_text(json.dumps(rfe.pop("configs")))
            rounds.append({"rfe": rfe})
            for peer, n in (("optuna", chosen.optuna), ("documented", chosen.documented)):
                rounds[-1][peer] = in_own_process(peer, folder, min(n // chosen.rounds, rfe["trials"]))
            write(rounds, chosen.output)


def run_rfe(folder: Path, trials: int) -> dict[str, Any]:
    """The search as a user starts it, MLflow and all; from the second round on it goes on with its study."""
    workspace = open_workspace(folder / "workspace")
    study = workspace.study(STUDY)
    began = time.time()
    api.search(folder / "space.yaml", folder / "data", trials=trials, workspace=workspace)
    whole_s = time.time() - began
    logs = [event for event in read_events(study) if isinstance(event, TrialLog) and event.time > began]
    waits = [one for one in read_records(study.journal) if one.kind == "pool" and one.time > began]
    ends = sorted(log.time for log in logs)
    workers = n_workers(study)
    began_training, first = first_training(logs, workers)
    return {
        "trials": len(logs),
        "whole_s": whole_s,
        "steady_s": (ends[-1] - ends[0]) / (len(logs) - first),
        "start_s": began_training - began,
        "training": sum(log.seconds for log in logs) / workers / (ends[-1] - began_training),
        "idle_s": float(waits[-1].data["idle_s"]),
        "scores": [log.score for log in sorted(logs, key=lambda log: log.number)],
        "configs": [dict(log.config) for log in sorted(logs, key=lambda log: log.number)],
    }


def first_training(logs: list[TrialLog], workers: int, stack: int = 4) -> tuple[float, int]:
    """When the first stacks began, seconds since 1970, and how many trials were in them.

    A trial's seconds are its share of its stack's, and a stack's trials end together.
    """
    logs = sorted(logs, key=lambda log: log.time)
    first = sum(log.time <= logs[0].time + 1.0 for log in logs)
    return logs[0].time - sum(log.seconds for log in logs[:first]) / min(workers, max(1, first // stack)), first


def n_workers(study: StudyFolder) -> int:
    """Of the study's last search."""
    return int([one for one in read_records(study.journal) if one.kind == "pool"][-1].data["workers"])


def in_own_process(peer: str, folder: Path, n: int) -> dict[str, Any]:
    """A peer in a process of its own, as nothing of rfe's may be warm for it."""
    command = [sys.executable, "-m", "tests.benchmarks.throughput_peer", peer, str(folder), str(n)]
    began = time.time()
    subprocess.run(command, check=True)
    result: dict[str, Any] = json.loads((folder / f"{peer}.json").read_text())
    return {"whole_s": time.time() - began - result.pop("apart_s"), **result}


def write(rounds: list[dict[str, Any]], output: Path) -> None:
    """Table and numbers so far."""
    names = {
        "rfe": "rfe search",
        "optuna": f"(b) a plain Optuna loop, {rounds[0]['optuna']['threads']} thread(s)",
        "documented": "(a) one TorchTrainer per Tune trial",
    }
    lines = []
    for who, name in names.items():
        mine = [one[who] for one in rounds]
        ratios = [one[who]["steady_s"] / one["rfe"]["steady_s"] for one in rounds]
        scores = [score for one in mine for score in one["scores"]]
        same = [score for one in rounds for score in one["rfe"]["scores"][: one[who]["trials"]]]
        lines.append(
            [
                name,
                str(sum(one["trials"] for one in mine)),
                f"{3600 / median(one['steady_s'] for one in mine):.0f}",
                f"{median(ratios):.1f} ({', '.join(f'{ratio:.1f}' for ratio in ratios)})",
                f"{sum(one['whole_s'] for one in mine) / sum(one['trials'] for one in mine):.1f}",
                f"{mean(scores):.3f}",
                f"{mean(same):.3f}",
            ]
        )
    header = ["", "trials", "trials per hour, steady", "time per trial / rfe's: median (each round)"]
    header += ["whole wall clock per trial, s", "mean Score", "rfe's on the same"]
    rfe = [one["rfe"] for one in rounds]
    text = "\n\n".join(
        [
            "# Trials per hour",
            "`python -m tests.benchmarks.throughput`",
            "Simulated data of the demo's size (2,456 clips, 6 encoders x 64, 5 folds), H 64, batch 64, 20 epochs, "
            "float32: the same configurations, optimiser steps and decoder for all, the peers on the first of each "
            "round's. rfe trains with one thread in each of two workers; the Optuna loop with the better of one and "
            "two threads; the documented pattern with two trials at a time, a thread each. All at the same priority, "
            f"by turns: {len(rounds)} rounds, each with a start. Steady is without it, whole wall clock with it.",
            table(header, lines),
            f"rfe: {median(one['training'] for one in rfe):.0%} of its workers' time from the first stack to the last "
            "result is training, the rest is everything else; workers waited for work "
            f"{sum(one['idle_s'] for one in rfe):.1f} s in all; the first stacks began after about "
            f"{median(one['start_s'] for one in rfe):.0f} s.",
            f"{os.cpu_count()} CPUs ({platform.machine()}), torch {torch.__version__}, Python "
            f"{platform.python_version()}.",
        ]
    )
    output.mkdir(parents=True, exist_ok=True)
    (output / "README.md").write_text(text + "\n")
    (output / "throughput.json").write_text(json.dumps(rounds, indent=1) + "\n")
    print(text)


def peer_main(peer: str, folder: Path, n: int) -> None:
    """What `in_own_process` runs."""
    from tests.benchmarks import peers

    configs = json.loads((folder / "configs.json").read_text())[:n]
    apart_s = 0.0
    if peer == "documented":
        scratch, threads = Path(tempfile.mkdtemp(dir=folder)), 1
        scores = peers.run_documented_pattern(
            configs, folder / "data", folder / "workspace" / "cache", scratch, CONCURRENT
        )
        ends = sorted(path.stat().st_mtime for path in scratch.glob("score*.txt"))
        steady_s = (ends[-1] - ends[CONCURRENT - 1]) / (n - CONCURRENT)  # without Ray's start, as rfe's
    else:
        dataset = load_dataset(folder / "data")
        cache = FeatureCache(dataset, folder / "workspace" / "cache")
        began_choosing = time.time()
        seconds = {}
        for n_threads in (1, 2):
            began = time.time()
            peers.run_optuna_loop(configs[:2], dataset, cache, n_threads)
            seconds[n_threads] = time.time() - began
        threads = min(seconds, key=lambda n_threads: seconds[n_threads])
        began = time.time()
        apart_s = began - began_choosing
        scores = peers.run_optuna_loop(configs, dataset, cache, threads)
        steady_s = (time.time() - began) / n
    result = {"threads": threads, "trials": n, "steady_s": steady_s, "apart_s": apart_s, "scores": scores}
    (folder / f"{peer}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
