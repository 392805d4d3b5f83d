"""Real searches beside recorded random ones: how many trials until they have what a hundred random ones have."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.search_space import ResolvedSpace
from rfe.search_space.schema import Sampler
from rfe.study.samplers import build_distributions, build_sampler
from tests.evidence.search_portfolio import PORTFOLIO
from tests.evidence.search_replay import Params
from tests.evidence.search_tables import Row, train_rows
from tests.evidence.simulated import table

REAL, TRIALS = 5, 25
"""Searches of a setting, and trials of each."""
OPEN = 12
FRESH = 50_000
"""Seeds of real searches begin here: the tables have others."""


def selected(by_fold: NDArray[np.float64]) -> float:
    """Mean over folds of the Score by the trial that is best on the others, from [trial, fold]."""
    folds = range(by_fold.shape[1])
    return float(np.mean([by_fold[np.delete(by_fold, fold, 1).mean(1).argmax(), fold] for fold in folds]))


def random_selected(rows: Sequence[Row], n: int, seed: int) -> float:
    """`selected` of so many recorded configurations, drawn without replacement."""
    first = [row for row in rows if row.seed == row.point]
    index = np.random.default_rng(seed).choice(len(first), min(n, len(first)), replace=False)
    return selected(np.array([first[one].by_fold for one in index]))


def search_truly(
    dataset: Dataset,
    cache: FeatureCache,
    resolved: ResolvedSpace,
    first: Sequence[Params],
    fixed: dict[str, Any],
    trials: int,
    seed: int,
) -> list[float]:
    """[trial] `selected` of a search with TPE after so many trials.

    Args:
        dataset, cache, resolved: what is searched.
        first: points that come first.
        fixed: dimensions that are not searched, and their values.
        trials: to train.
        seed: of sampler and training.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=build_sampler(Sampler(kind="tpe"), seed))
    distributions = {name: one for name, one in build_distributions(resolved).items() if name not in fixed}
    for params in first:
        study.enqueue_trial({name: value for name, value in params.items() if name in distributions})
    rows: list[list[float]] = []
    while len(rows) < trials:
        n = min(len(first) if not rows and first else OPEN, trials - len(rows))
        asked = [study.ask(distributions) for _ in range(n)]
        points = [{**one.params, **fixed} for one in asked]
        found = train_rows(dataset, cache, resolved, points, range(n), [FRESH + seed] * n)
        scored = {row.point: row for row in found}
        for position, one in enumerate(asked):
            if position in scored:
                study.tell(one, scored[position].scores["valid_states"])
                rows.append(scored[position].by_fold)
            else:
                study.tell(one, state=optuna.trial.TrialState.FAIL)
                rows.append([-np.inf] * len(found[0].by_fold))
    table = np.array(rows)
    return [selected(table[: n + 1]) for n in range(len(table))]


def describe(paths: Mapping[str, Path]) -> list[str]:
    """The report's section, from what `run_search_efficiency search` kept; empty where it was not run."""
    rows = []
    for name, path in paths.items():
        if not path.exists():
            continue
        found = json.loads(path.read_text())
        chance, searches = float(np.mean(found["random"])), np.array(found["searches"])
        above = searches >= chance
        reached = ["not reached" if not one.any() else str(int(one.argmax()) + 1) for one in above]
        after = [f"{searches[:, n].mean():.4f} ± {searches[:, n].std(ddof=1):.4f}" for n in (PORTFOLIO - 1, TRIALS - 1)]
        rows.append([name, f"{chance:.4f} ± {np.std(found['random']):.4f}", *after, ", ".join(reached)])
    header = [
        "",
        "100 random",
        f"portfolio, {PORTFOLIO} trials",
        f"{TRIALS} trials",
        "trials until as good as 100 random",
    ]
    about = (
        f"{REAL} seeds; the portfolio is chosen on the other settings, the sampler is TPE, {OPEN} open. Each number is "
        "a study's result: each fold's Score by the trial that is best on the others, mean over folds, ± its standard "
        "deviation over searches. Random ones are drawn from the recorded configurations, 200 times."
    )
    return ["## Real searches", about, table(header, rows)] if rows else []
