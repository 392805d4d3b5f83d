"""Do the intervals hold for trained models? Coverage, A/A comparisons and the winner's curse over simulated sets.

`python -m tests.evidence.run_statistics_checks [N_SETS]`. Each set's numbers are kept beside the report when it is done
(`sets.jsonl`), so the script can be stopped and run again; the report is made of the sets there are. The fast check of
the same equations, on 1,000 draws of hit tables from a known model, is `tests/unit/metrics/test_intervals.py`.
"""

import json
import shutil
import sys
from typing import Any

import numpy as np
from scipy.stats import binomtest

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset
from rfe.data.simulate import EncoderSpec, SimulationSpec, simulate
from rfe.metrics.intervals import InfluenceTable, Interval, difference_interval, score_interval
from rfe.task import BLEMORE
from rfe.training.configurations import train_configurations
from rfe.training.record import TrialResult
from rfe.writing import write_text
from tests.evidence.simulated import REPORTS, SCRATCH, table, write_report

N_SETS = 200
ACTORS, CLIPS = 20, 24
SEEDS = 3
FRESH, OTHER = 10_000, 20_000
ENCODERS = (EncoderSpec("first", "strong", "video"), EncoderSpec("second", "medium", "audio"))
BASE: dict[str, Any] = {
    "model.latent_dim": 8,
    "train.epochs": 15,
    "train.batch_size": 64,
    "train.lr": 0.02,
    "loss.presence": "states",
    "train.seeds": SEEDS,
    "train.seed": FRESH,
    "train.data_seed": FRESH,
}
ARM = {"pool": ["first"]}
"""The arm with an effect: one encoder of two."""
N_EQUAL = 30
JITTER = 0.05
"""Equal configurations: learning rates within so much of one another, which no Score can tell apart, and a seed of
their own, so that each trial has its own luck."""
KIND = ("coverage_arm", "coverage_score", "same", "curse")


def main(n_sets: int = N_SETS) -> None:
    path = REPORTS / "statistics_checks" / "sets.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    for number in range(len(lines), n_sets):
        lines.append(json.dumps(_check_one(number)))
        write_text(path, "\n".join(lines) + "\n")
        print(number, flush=True)
    parts = [json.loads(line) for line in lines]
    print(write_report("statistics_checks", "Intervals of trained models, checked", report(parts)).read_text())


def _check_one(number: int) -> dict[str, Any]:
    """The intervals on one simulated set."""
    place = SCRATCH / "statistics-data"
    shutil.rmtree(place, ignore_errors=True)
    spec = SimulationSpec(ACTORS, 0, CLIPS, seed=50_000 + number, encoders=ENCODERS)
    dataset = load_dataset(simulate(spec, place / "set"))
    cache = FeatureCache(dataset, place / "cache")
    base = change_config(Config(), BASE)
    rng = np.random.default_rng(number)
    equal = [
        change_config(base, {"train.lr": float(rate), "train.seeds": 1, "train.seed": seed, "train.data_seed": seed})
        for seed, rate in enumerate(BASE["train.lr"] * (1 + JITTER * rng.uniform(-1, 1, N_EQUAL)))
    ]
    arm = change_config(base, ARM)
    same = change_config(base, {"train.seed": OTHER, "train.data_seed": OTHER})
    results = _train([base, arm, same, *equal], dataset, cache)
    scores = [result.score for result in results[3:]]
    best = int(np.argmax(scores))
    other = int(rng.choice([index for index in range(N_EQUAL) if index != best]))
    fresh = {name: BASE[name] for name in ("train.seeds", "train.seed", "train.data_seed")}
    again = _train([change_config(equal[index], fresh) for index in (best, other)], dataset, cache)
    own, *others = (_hits(result, dataset) for result in results[:3])
    winner, another = (_hits(result, dataset) for result in again)
    found = (
        difference_interval(others[0], own),
        score_interval(own),
        difference_interval(others[1], own),
        difference_interval(another, winner),
    )
    return {
        **{kind: _plain(interval) for kind, interval in zip(KIND, found, strict=True)},
        "optimism": float(max(scores) - np.mean(scores)),
    }


def _train(configs: list[Config], dataset: Dataset, cache: FeatureCache) -> list[TrialResult]:
    results = train_configurations(configs, dataset, cache, threads=1, keep_weights=False)
    for result in results:
        if result.state != "complete":
            raise SystemExit(result.reason)
    return results


def _hits(result: TrialResult, dataset: Dataset) -> InfluenceTable:
    clips, source = dataset.clips, slice(dataset.clips.n_source)
    return InfluenceTable.of_answers(
        BLEMORE, clips.state[source], result.predicted_state, clips.actor[source], clips.fold[source]
    )


def _plain(interval: Interval) -> dict[str, float]:
    lower, upper = interval.bounds()
    p = 1.0 if interval.p_value is None else interval.p_value
    return {"estimate": interval.estimate, "se": interval.standard_error, "lower": lower, "upper": upper, "p": p}


def report(parts: list[dict[str, Any]]) -> str:
    """The checks as a table."""
    n = len(parts)
    rows = []
    for kind, what in ((KIND[0], "difference of two arms"), (KIND[1], "Score of one arm")):
        found = {name: np.array([part[kind][name] for part in parts]) for name in ("estimate", "se", "lower", "upper")}
        truth = found["estimate"].mean()
        covered = int(((found["lower"] <= truth) & (truth <= found["upper"])).sum())
        spread = f"{found['estimate'].std(ddof=1):.4f}, mean standard error {found['se'].mean():.4f}"
        verdict = _verdict(covered, n, 0.90, 0.98)
        rows.append([f"coverage: {what}", f"truth {truth:+.4f}; sd over sets {spread}", _share(covered, n), *verdict])
    significant = {kind: sum(part[kind]["p"] < 0.05 for part in parts) for kind in (*KIND[2:], KIND[0])}
    rows.append(
        [
            "A/A: the base with other seeds",
            "significant at 5%",
            _share(significant["same"], n),
            *_verdict(significant["same"], n, 0.02, 0.09),
        ]
    )
    rows.append(
        [
            f"winner's curse: the best of {N_EQUAL} equal configurations as base, trained afresh, against another",
            "significant at 5%",
            _share(significant["curse"], n),
            *_verdict(significant["curse"], n, 0.0, 0.08),
        ]
    )
    optimism = np.mean([part["optimism"] for part in parts])
    header = ["check", "of what", "share [95% interval]", "wanted", "holds"]
    return f"""{n} simulated sets of {ACTORS} actors with {CLIPS} clips and two encoders, five folds, {SEEDS} seeds,
a model of width {BASE["model.latent_dim"]} trained for {BASE["train.epochs"]} epochs. The truth of a difference or
Score is its mean over the sets: an interval has to cover what other actors, clips, encoders and seeds would give.
The arm with an effect has one encoder of the two; it was significant in {_share(significant[KIND[0]], n)} of the sets.

{table(header, rows)}

The {N_EQUAL} equal configurations differ by {100 * JITTER:.0f}% of the learning rate at most and were searched with
one seed each; the best one's own score exceeds their mean by {optimism:.4f} on average: the luck that fresh seeds
take out."""


def _share(count: int, n: int) -> str:
    interval = binomtest(count, n).proportion_ci(method="wilson")
    return f"{count / n:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _verdict(count: int, n: int, low: float, high: float) -> list[str]:
    return [f"{low:.2f} to {high:.2f}", "yes" if low <= count / n <= high else "**no**"]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
