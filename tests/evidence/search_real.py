"""Real searches beside recorded random ones: how many trials until they have what a hundred random ones have."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.search_space import ResolvedSpace
from rfe.search_space.schema import Sampler
from rfe.study.samplers import build_distributions, build_sampler
from tests.evidence.search_replay import Params
from tests.evidence.search_tables import Row, train_rows

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
