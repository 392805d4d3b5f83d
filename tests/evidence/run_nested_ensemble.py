"""Is the nested score of an ensemble an honest estimate of what it scores on new actors?

`python -m tests.evidence.run_nested_ensemble [--tiny] [SETS]`. For each simulated set, a random search of small models,
an ensemble of them with its nested score and interval, and its Score on 100 fresh actors of the training population (no
shift). Each set is kept beside the report when it is done, so the script can be stopped and run again; the report is
made of the sets there are. A set takes about 40 s of one free core, two minutes where others want it. `--tiny` runs
everything small, in a place of its own, to see that it runs.

Two truths. *Of the same predictors*: for each fold, what was chosen without it, answered by the fold's own models, on
the fresh actors, mean over folds; it is what the nested score estimates. *Of the final ensemble*: the average of all
fold models, which is handed in, and better for being an average of more models: the nested score understates it.
"""

import io
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest

from rfe.config.load import change_config, flatten
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.decoding.base import Outputs
from rfe.decoding.valid_states import answer_states, state_probabilities
from rfe.ensemble.build import build_ensemble
from rfe.ensemble.calibrated import CalibratedCandidate, Truth
from rfe.ensemble.candidates import load_outputs, read_candidates
from rfe.ensemble.mixing import mix_states
from rfe.ensemble.nested import Chosen, choose_nested
from rfe.ensemble.prediction import fit_decoder
from rfe.ensemble.recalibration import Recalibration
from rfe.ensemble.selection import Selection, WeightedTrials, select_single
from rfe.journal.events import StudyLog, TrialLog
from rfe.journal.journal import Journal
from rfe.metrics.score import score
from rfe.progress import SilentProgress
from rfe.task import BLEMORE
from rfe.training.configurations import train_configurations
from rfe.training.record import TrialResult
from rfe.training.stack_run import OUTPUTS
from rfe.workspace import StudyFolder
from rfe.writing import write_json
from tests.evidence.parts import make_part, read_parts
from tests.evidence.simulated import SCRATCH, report_folder, simulated_set, table, write_report

SETS = 30
FIRST = 400
NAME = "nested_ensemble"


@dataclass(frozen=True)
class Size:
    """How large everything is."""

    spec: dict[str, int]
    configs: int
    epochs: int
    shifted: int
    """So many further sets have the strong shift, in rows of their own that have no target to meet."""
    stack: int = 8

    @property
    def how(self) -> Selection:
        return Selection(members=10, candidates=self.configs, bags=5)


FULL = Size({"actors": 20, "clips_per_actor": 30, "test_actors": 100}, 16, 10, 5)
TINY = Size({"actors": 10, "clips_per_actor": 20, "test_actors": 10}, 4, 2, 1)


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    tiny = "--tiny" in arguments
    numbers = [int(one) for one in arguments if one != "--tiny"]
    size, wanted = TINY if tiny else FULL, numbers[0] if numbers else (2 if tiny else SETS)
    folder = report_folder(NAME, tiny=tiny)
    sets = [("none", FIRST + number) for number in range(wanted)]
    if tiny or wanted == SETS:
        sets += [("strong", FIRST + SETS + number) for number in range(size.shifted)]
    for shift, seed in sets:
        make_part(folder / "parts" / f"{shift}-{seed}.json", partial(_measure, shift, seed, size))
        parts = read_parts(folder / "parts")
        rows = [{"shift": name.split("-")[0], **part["result"]} for name, part in parts.items()]
        seconds = [part["seconds"] for part in parts.values()]
        path = write_report(NAME, "The nested score of an ensemble", _body(rows, seconds, size), tiny=tiny)
    print(path.read_text())


def _measure(shift: str, seed: int, size: Size) -> dict[str, Any]:
    dataset, cache, truth = simulated_set(shift=shift, seed=seed, **size.spec)
    answer = np.array(
        [BLEMORE.state_index(truth["test_labels"][str(name)]) for name in dataset.clips.filename[dataset.clips.target]]
    )
    folder = StudyFolder(SCRATCH / NAME / f"{seed}-{shift}-{size.configs}")
    if not folder.outcome.exists():
        shutil.rmtree(folder.path, ignore_errors=True)  # of a run that was stopped while it was written
        _search(folder, dataset, cache, seed, size)
        write_json(folder.outcome, {})
    result = build_ensemble([folder], dataset, size.how, SilentProgress())
    trials = read_candidates(folder).candidates
    clips = Truth.of(dataset)
    calibrated = [CalibratedCandidate.of(one, load_outputs(one, dataset), clips) for one in trials]
    chosen = choose_nested(calibrated, size.how, SilentProgress())
    best = max(trials, key=lambda trial: (trial.score, -trial.number))
    low, high = result.nested["score"].bounds()
    found = {
        "nested": result.nested["score"].estimate,
        "low": low,
        "high": high,
        "optimistic": result.in_sample,
        "same_predictors": _same_predictors(calibrated, chosen, answer),
        "final": _final_score(result.ensemble, dataset, answer),
        "best_trial": best.score,
        "best_trial_final": _final_score(select_single([best]), dataset, answer),
    }
    shutil.rmtree(folder.path)
    return {name: round(float(value), 5) for name, value in found.items()}


def _final_score(ensemble: WeightedTrials, dataset: Dataset, answer: np.ndarray) -> float:
    """On the fresh actors, of the average of all fold models, by states."""
    outputs = [load_outputs(member.candidate, dataset) for member in ensemble.members]
    decoder = fit_decoder(ensemble.members, outputs, Truth.of(dataset), "states")
    return score(BLEMORE, answer, decoder.decode([one.target for one in outputs]).state).score


def _same_predictors(calibrated: list[CalibratedCandidate], chosen: tuple[Chosen, ...], answer: np.ndarray) -> float:
    """On the fresh actors, mean over folds of what was chosen without the fold, by the fold's own models."""
    truth, scores = calibrated[0].truth, []
    for one in chosen:
        if one.held_out is None:
            continue
        members = np.flatnonzero(one.weights.sets + one.weights.ratios > 0).tolist()
        states = [_fresh_states(calibrated[index], one.held_out) for index in members]
        mixed = mix_states(BLEMORE, states, one.weights.sets[members], one.weights.ratios[members])
        recalibrated = Recalibration(**one.decoding).apply(BLEMORE, mixed)
        scores.append(score(BLEMORE, answer, answer_states(BLEMORE, recalibrated, truth.shares(one.held_out))).score)
    return float(np.mean(scores))


def _fresh_states(one: CalibratedCandidate, fold: int) -> np.ndarray:
    """[target clip, 36] by the fold's own models, calibrated without the fold; mean over seeds."""
    position = one.truth.folds.index(fold)
    pair = list(combinations_with_replacement(one.truth.folds, 2)).index((fold, fold))
    target = one.outputs.target
    own = Outputs(*(getattr(target, name)[position] for name in OUTPUTS), target.presence_kind)
    offset = one.outputs.set_offset[position][None]  # [1, set]: of all clips
    return state_probabilities(BLEMORE, own, one.parameters.at(slice(None), pair), set_offset=offset).mean(0)


def _search(folder: StudyFolder, dataset: Dataset, cache: FeatureCache, seed: int, size: Size) -> None:
    """A random search, kept as a study keeps it."""
    stream = np.random.default_rng(seed)
    configs = [_draw(stream, list(dataset.encoders), number, size.epochs) for number in range(size.configs)]
    results: list[TrialResult] = []
    for first in range(0, size.configs, size.stack):
        results += train_configurations(configs[first : first + size.stack], dataset, cache, keep_weights=False)
    with Journal(folder) as journal:
        journal.record_study(StudyLog(folder.name, dataset.name, dataset.fingerprint))
        for number, (config, result) in enumerate(zip(configs, results, strict=True)):
            if result.state == "complete":
                journal.record_trial(_trial(folder.name, number, config, result))


def _draw(stream: np.random.Generator, encoders: list[str], number: int, epochs: int) -> Config:
    n_encoders = int(stream.integers(2, len(encoders) + 1))
    pool = sorted(stream.choice(encoders, n_encoders, replace=False).tolist())
    changes = {
        "pool": pool,
        "model.latent_dim": 16,
        "model.n_kept": int(stream.integers(1, n_encoders + 1)),
        "model.dropout": float(stream.uniform(0.1, 0.5)),
        "model.fusion.kind": str(stream.choice(["weighted_sum", "rank_concat", "rank_embedding"])),
        "model.head_fusion.presence_weight": float(stream.uniform(0.2, 0.8)),
        "loss.presence": str(stream.choice(["bce", "states"])),
        "train.lr": float(np.exp(stream.uniform(np.log(1e-3), np.log(8e-3)))),
        "train.epochs": epochs,
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


ESTIMATES = (
    ("nested score of the ensemble", "nested", "same_predictors", "the same predictors"),
    ("nested score of the ensemble", "nested", "final", "the final ensemble"),
    ("the ensemble's optimistic score", "optimistic", "final", "the final ensemble"),
    ("best trial's own score (optimistic)", "best_trial", "best_trial_final", "its fold models' average"),
)


def _body(rows: list[dict[str, Any]], seconds: list[float], size: Size) -> str:
    lines = []
    for shift in dict.fromkeys(row["shift"] for row in rows):
        mine = [row for row in rows if row["shift"] == shift]
        for label, estimate, truth, whose in ESTIMATES:
            bias = np.array([row[estimate] - row[truth] for row in mine])
            error = bias.std(ddof=1) / np.sqrt(len(bias)) if len(bias) > 1 else float("nan")
            covered = ""
            if estimate == "nested":
                hits = sum(row["low"] <= row[truth] <= row["high"] for row in mine)
                found = binomtest(hits, len(mine)).proportion_ci()
                covered = f"{hits} of {len(mine)} [{found.low:.2f}, {found.high:.2f}]"
            means = [float(np.mean([row[name] for row in mine])) for name in (estimate, truth)]
            lines.append(
                [
                    shift,
                    label,
                    whose,
                    str(len(mine)),
                    *(f"{m:.3f}" for m in means),
                    f"{bias.mean():+.4f}",
                    f"{error:.4f}",
                    covered,
                ]
            )
    header = ["shift", "estimate", "truth of", "sets", "mean", "true mean", "bias", "its standard error"]
    spec = size.spec
    return f"""Simulated sets of {spec["actors"]} training actors ({spec["clips_per_actor"]} clips each); {size.configs}
random configurations of small models, {size.epochs} epochs; an ensemble by bagged forward selection. Truth: Score on
{spec["test_actors"]} fresh actors of the training population. "The same predictors": for each fold what was chosen
without it, answered by the fold's own models, mean over folds: what the nested score estimates. "The final ensemble":
the average of all fold models, which is handed in. Asked for: |bias| <= .01 with a standard error <= .005 for the
nested score. Shifted actors have no target. Median time of a set: {np.median(seconds):.0f} s.

{table([*header, "95% interval covers"], lines)}"""


if __name__ == "__main__":
    main(sys.argv[1:])
