"""Is the nested score of an ensemble an honest estimate of what it scores on new actors?

`python -m tests.evidence.run_nested_ensemble [SETS]`. For each simulated set, a random search of small models, an
ensemble of them with its nested score and interval, and its Score on 100 fresh actors of the training population (no
shift). Sets that are done are kept, so that a broken run goes on; fewer SETS than 30 only print.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest

from rfe.config.load import change_config, flatten
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.calibrated import Truth
from rfe.ensemble.candidates import load_outputs, read_study
from rfe.ensemble.prediction import fit_decoder
from rfe.ensemble.selection import Ensemble, Selection, select_single
from rfe.labels import state_index
from rfe.metrics.score import score
from rfe.progress import SilentProgress
from rfe.tracking.base import StudyLog, TrialLog
from rfe.tracking.journal import Journal
from rfe.training.configurations import train_configurations
from rfe.training.record import TrialResult
from rfe.training.stack_run import OUTPUTS
from rfe.workspace import StudyFolder, write_json
from tests.evidence.simulated import SCRATCH, simulated_set, table, write_report

SETS = 30
FIRST = 400
SIZE = {"actors": 20, "clips_per_actor": 30, "test_actors": 100}
N_CONFIGS = 16
STACK = 8
HOW = Selection(members=10, candidates=N_CONFIGS, bags=5)
SHIFTED = 5
"""So many further sets have the strong shift, in a row of their own that has no target to meet."""


def main() -> None:
    torch.set_num_threads(1)
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else SETS
    rows = []
    for number in range(wanted + (SHIFTED if wanted == SETS else 0)):
        shift = "none" if number < wanted else "strong"
        path = SCRATCH / "nested_ensemble" / f"{FIRST + number}-{shift}.json"
        if not path.exists():
            write_json(path, _measure(shift, FIRST + number))
            print(f"set {number + 1}, shift {shift}: done", flush=True)
        rows.append({"shift": shift, **json.loads(path.read_text())})
    if wanted == SETS:
        print(write_report("nested_ensemble", "The nested score of an ensemble", _body(rows)).read_text())
    else:
        print(_body(rows))


def _measure(shift: str, seed: int) -> dict[str, Any]:
    dataset, cache, truth = simulated_set(shift=shift, seed=seed, **SIZE)
    answer = np.array(
        [state_index(truth["test_labels"][str(name)]) for name in dataset.clips.filename[dataset.clips.target]]
    )
    folder = StudyFolder(SCRATCH / "nested_ensemble" / "studies" / f"{seed}-{shift}")
    if not folder.outcome.exists():
        _search(folder, dataset, cache, seed)
        write_json(folder.outcome, {})
    result = build_ensemble([folder], dataset, HOW, SilentProgress())
    trials = read_study(folder).candidates
    single = select_single(trials)
    low, high = result.nested["score"].bounds()
    return {
        "nested": result.nested["score"].estimate,
        "low": low,
        "high": high,
        "optimistic": result.optimistic,
        "true": _true_score(result.ensemble, dataset, answer),
        "single_nested": result.single.estimate,
        "best_trial": max(trial.score for trial in trials),
        "best_trial_true": _true_score(single, dataset, answer),
    }


def _true_score(ensemble: Ensemble, dataset: Dataset, answer: np.ndarray) -> float:
    """Of the average of all fold models on the fresh actors."""
    outputs = [load_outputs(member.candidate, dataset) for member in ensemble.members]
    decoder = fit_decoder(ensemble.members, outputs, Truth.of(dataset))
    return score(answer, decoder.decode([one.target for one in outputs]).state).score


def _search(folder: StudyFolder, dataset: Dataset, cache: FeatureCache, seed: int) -> None:
    """A random search, kept as a study keeps it."""
    stream = np.random.default_rng(seed)
    configs = [_draw(stream, list(dataset.encoders), number) for number in range(N_CONFIGS)]
    results: list[TrialResult] = []
    for first in range(0, N_CONFIGS, STACK):
        results += train_configurations(configs[first : first + STACK], dataset, cache, keep_weights=False)
    with Journal(folder) as journal:
        journal.record_study(StudyLog(folder.name, dataset.name, dataset.fingerprint))
        for number, (config, result) in enumerate(zip(configs, results, strict=True)):
            if result.state == "complete":
                journal.record_trial(_trial(folder.name, number, config, result))


def _draw(stream: np.random.Generator, encoders: list[str], number: int) -> Config:
    size = int(stream.integers(2, len(encoders) + 1))
    pool = sorted(stream.choice(encoders, size, replace=False).tolist())
    changes = {
        "pool": pool,
        "model.latent_dim": 16,
        "model.n_kept": int(stream.integers(1, size + 1)),
        "model.dropout": float(stream.uniform(0.1, 0.5)),
        "model.fusion.kind": str(stream.choice(["weighted_sum", "rank_concat", "rank_embedding"])),
        "model.head_fusion.presence_weight": float(stream.uniform(0.2, 0.8)),
        "loss.presence": str(stream.choice(["bce", "states"])),
        "train.lr": float(np.exp(stream.uniform(np.log(1e-3), np.log(8e-3)))),
        "train.epochs": 10,
        "train.batch_size": 128,
        "train.seed": number,
    }
    return change_config(Config(), changes)


def _trial(study: str, number: int, config: Config, result: TrialResult) -> TrialLog:
    npz = io.BytesIO()
    arrays = {
        name: np.asarray(getattr(result, name), np.float16) for name in (*OUTPUTS, *(f"target_{n}" for n in OUTPUTS))
    }
    np.savez_compressed(npz, seeds=result.seeds, **arrays)
    artifacts: dict[str, bytes | Path] = {"outputs.npz": npz.getvalue()}
    return TrialLog(
        study,
        number,
        "complete",
        result.config_id,
        flatten(config),
        scores={"score": result.score},
        artifacts=artifacts,
    )


def _body(rows: list[dict[str, Any]]) -> str:
    lines = []
    for shift in dict.fromkeys(row["shift"] for row in rows):
        mine = [row for row in rows if row["shift"] == shift]
        for label, estimate, true in (
            ("nested score of the ensemble", "nested", "true"),
            ("the same, optimistic", "optimistic", "true"),
            ("best trial's own score (optimistic)", "best_trial", "best_trial_true"),
        ):
            bias = np.array([row[estimate] - row[true] for row in mine])
            error = bias.std(ddof=1) / np.sqrt(len(bias)) if len(bias) > 1 else float("nan")
            covered = ""
            if estimate == "nested":
                hits = sum(row["low"] <= row["true"] <= row["high"] for row in mine)
                found = binomtest(hits, len(mine)).proportion_ci()
                covered = f"{hits} of {len(mine)} [{found.low:.2f}, {found.high:.2f}]"
            means = [float(np.mean([row[name] for row in mine])) for name in (estimate, true)]
            lines.append(
                [
                    shift,
                    label,
                    str(len(mine)),
                    *(f"{m:.3f}" for m in means),
                    f"{bias.mean():+.4f}",
                    f"{error:.4f}",
                    covered,
                ]
            )
    header = ["shift", "estimate", "sets", "mean", "true mean", "bias", "its standard error", "95% interval covers"]
    return f"""Simulated sets of {SIZE["actors"]} training actors ({SIZE["clips_per_actor"]} clips each); {N_CONFIGS}
random configurations of small models; an ensemble by bagged forward selection. Truth: what the very ensemble (average
of all fold models) scores on {SIZE["test_actors"]} fresh actors of the training population. Asked for: |bias| <= .01
with a standard error <= .005 for the nested score. Fold models see four fifths of the actors; an average of five such
models answers the fresh actors, and a clip's own out-of-fold answer comes of one of the five. Shifted actors have no
target.

{table(header, lines)}"""


if __name__ == "__main__":
    main()
