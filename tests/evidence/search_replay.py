"""Strategies of a search, replayed on recorded searches: a hundred trials in a second instead of an hour.

A table holds random points; a sampler asks for any. So what a point scores is a Gaussian process through the table (its
mean is taken as the truth, which makes the landscape a little smoother than the real one), plus what a seed does,
drawn from configurations that were recorded with three seeds. Equations and choices ours.
"""

import random
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.model_selection import GroupKFold, cross_val_predict

from rfe.search_space import ResolvedSpace, sample_params
from rfe.search_space.dimensions import POOL_PREFIX, Dimension
from rfe.search_space.schema import Sampler
from rfe.study.samplers import build_distributions, build_sampler
from tests.evidence.search_tables import DECODERS, Row

Float = NDArray[np.float64]
Params = Mapping[str, Any]
NAMES = (*DECODERS, "log_likelihood", "log_seconds")
"""What is modelled of a point: the Score by each decoder, and two more."""
MARKS = 4_000
"""Random points among which the best one there is is looked for."""


class World:
    """A recorded setting as a function of points.

    Args:
        rows: of its table.
        resolved: the space that they were drawn from.
    """

    def __init__(self, rows: Sequence[Row], resolved: ResolvedSpace) -> None:
        self.resolved = resolved
        self.distributions: dict[str, BaseDistribution] = build_distributions(resolved)
        self.rows = rows
        features = np.stack([self.encode(row.params) for row in rows])
        self._varies = np.ptp(features, 0) > 0
        self._features = features[:, self._varies]
        self._models: dict[str, GaussianProcessRegressor] = {}

    def values(self, name: str) -> Float:
        """[row] as recorded."""
        of: Callable[[Row], float] = {
            "log_likelihood": lambda row: row.log_likelihood,
            "log_seconds": lambda row: float(np.log(row.seconds)),
        }.get(name, lambda row: row.scores[name])
        return np.array([of(row) for row in self.rows])

    def encode(self, params: Params) -> Float:
        """Numbers of a point: what has no effect stands at a value of its own."""
        n_pool = sum(bool(value) for name, value in params.items() if name.startswith(POOL_PREFIX))
        counted = {
            one.name: params[one.name]
            for one in self.resolved.dimensions
            if all(params[name] in values for name, values in one.when)
        }
        counted["model.n_kept"] = min(int(params["model.n_kept"]), n_pool)
        return np.concatenate([_encode(one, counted.get(one.name)) for one in self.resolved.dimensions])

    def _fit(self, values: Float) -> GaussianProcessRegressor:
        n = self._features.shape[1]
        smooth = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.full(n, 2.0), (0.2, 100.0), nu=2.5)
        kernel = smooth + WhiteKernel(0.3, (1e-3, 2.0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a length at its bound is a dimension without effect
            return GaussianProcessRegressor(kernel, normalize_y=True).fit(self._features, values)

    def truth(self, points: Sequence[Params], name: str) -> Float:
        """[point] what points are worth without the luck of a seed: the Score by a decoder, or another of `NAMES`."""
        features = np.stack([self.encode(one) for one in points])[:, self._varies]
        return np.asarray(self._model(name).predict(features), float)

    def draw_scores(self, points: Sequence[Params], decoder: str, n: int, seed: int) -> Float:
        """[draw, point] Scores by functions that the table leaves possible."""
        features = np.stack([self.encode(one) for one in points])[:, self._varies]
        return np.asarray(self._model(decoder).sample_y(features, n, random_state=seed).T, float)

    def _model(self, name: str) -> GaussianProcessRegressor:
        if name not in self._models:
            self._models[name] = self._fit(self.values(name))
        return self._models[name]

    def explained(self, name: str) -> float:
        """Squared correlation of the process with rows that it has not seen, in ten parts; noise is in it."""
        model, values = self._model(name), self.values(name)
        fixed = GaussianProcessRegressor(model.kernel_, optimizer=None, normalize_y=True)
        groups = [row.point for row in self.rows]
        found = cross_val_predict(fixed, self._features, values, groups=groups, cv=GroupKFold(10))
        return float(np.corrcoef(found, values)[0, 1] ** 2)

    @cached_property
    def noise(self) -> Float:
        """[draw, name] what seeds did to the configurations that have several, scaled to one seed's variance.

        Of the better half alone: a search's choice is among the good ones, and some bad ones fail with some seeds.
        """
        table = np.stack([self.values(name) for name in NAMES], -1)
        points = np.array([row.point for row in self.rows])
        parts = [table[points == one] for one in np.unique(points) if (points == one).sum() > 1]
        parts.sort(key=lambda part: float(part[:, NAMES.index("valid_states")].mean()))
        parts = parts[len(parts) // 2 :]
        return np.concatenate([(part - part.mean(0)) * np.sqrt(len(part) / (len(part) - 1)) for part in parts])

    @cached_property
    def best(self) -> float:
        """The highest true Score found with any decoder: of many random points, then of steps from the best ones."""
        return max(self._best_of.values())

    def best_of(self, decoder: str) -> float:
        """The same with one decoder."""
        return self._best_of[decoder]

    @cached_property
    def _best_of(self) -> dict[str, float]:
        return {name: self._look_for_best(name) for name in DECODERS}

    def _look_for_best(self, decoder: str) -> float:
        rng = random.Random(1)
        points: list[Params] = [sample_params(self.resolved, rng) for _ in range(MARKS)]
        worth = self.truth(points, decoder)
        for _ in range(5):
            top = [points[index] for index in np.argsort(-worth)[:50]]
            points = top + [self._mutate(one, rng) for one in top for _ in range(10)]
            worth = self.truth(points, decoder)
        return float(worth.max())

    def _mutate(self, params: Params, rng: Any) -> Params:
        other = sample_params(self.resolved, rng)
        changed = rng.sample(sorted(other), 2)
        return {name: other[name] if name in changed else value for name, value in params.items()}


def _encode(dimension: Dimension, value: Any) -> Float:
    if dimension.kind == "choice":
        return np.array([float(value is not None and value == one) for one in dimension.choices])
    if value is None:
        return np.array([0.5, 0.0])
    low, high = float(dimension.low or 0), float(dimension.high or 0)
    if dimension.log:
        low, high, value = np.log(low), np.log(high), np.log(value)
    return np.array([(float(value) - low) / (high - low), 1.0])


@dataclass(frozen=True)
class Strategy:
    """How trials are asked for and judged."""

    name: str
    sampler: str = "tpe"
    open: int = 12
    """Trials asked for and not yet told."""
    objective: str = "score"
    """What the sampler is told: `score` or `log_likelihood`; the exported trial is chosen by Score."""
    fixed: tuple[tuple[str, Any], ...] = ()
    """Dimensions that are not searched, and their values."""
    first: tuple[Params, ...] = ()
    """Points that come first."""
    portfolio: int = 0
    """So many of them are chosen on the other settings."""
    startup: int = 10
    trials: int = 100
    confirm: int = 0
    """The best so many are trained with five fresh seeds each, and the best mean is exported."""


@dataclass(frozen=True)
class Replay:
    """One search, by trial."""

    regret: Float
    """[trial] of what would be exported after so many trials."""
    seconds: Float
    """[trial] of training, added up."""


def replay(world: World, strategy: Strategy, seed: int) -> Replay:
    """One search of a strategy."""
    rng = np.random.default_rng([seed, 7])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = build_sampler(Sampler(kind=strategy.sampler, startup_trials=strategy.startup), seed)  # type: ignore[arg-type]
    study = optuna.create_study(direction="maximize", sampler=sampler)
    fixed = dict(strategy.fixed)
    distributions = {name: one for name, one in world.distributions.items() if name not in fixed}
    for params in strategy.first:
        study.enqueue_trial({name: value for name, value in params.items() if name in distributions})
    waiting: deque[tuple[optuna.Trial, float]] = deque()
    points, told, judged, true, seconds = [], [], [], [], []
    for _ in range(strategy.trials):
        if len(waiting) >= strategy.open:
            study.tell(*waiting.popleft())
        trial = study.ask(distributions)
        params = {**trial.params, **fixed}
        luck = dict(zip(NAMES, world.noise[rng.integers(len(world.noise))], strict=True))
        decoder = params["decode.kind"]
        named = {"score": decoder, "log_likelihood": "log_likelihood"}
        truth = {name: float(world.truth([params], name)[0]) for name in {decoder, named[strategy.objective]}}
        told.append(truth[named[strategy.objective]] + luck[named[strategy.objective]])
        judged.append(truth[decoder] + luck[decoder])
        true.append(truth[decoder])
        seconds.append(np.exp(world.truth([params], "log_seconds")[0]))
        points.append(params)
        waiting.append((trial, told[-1]))
    chosen = [int(np.argmax(judged[: n + 1])) for n in range(len(judged))]
    if strategy.confirm:
        spread = world.noise[:, NAMES.index("valid_states")]
        for n in range(len(judged)):
            top = np.argsort(-np.array(judged[: n + 1]))[: strategy.confirm]
            again = [true[index] + rng.choice(spread, 5).mean() for index in top]
            chosen[n] = int(top[int(np.argmax(again))])
    return Replay(world.best - np.array(true)[chosen], np.cumsum(seconds))


def summarise(replays: Sequence[Replay], trials: int) -> tuple[float, float]:
    """Mean regret after so many trials and its standard error."""
    values = np.array([one.regret[min(trials, len(one.regret)) - 1] for one in replays])
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def reach(replays: Sequence[Replay], regret: float) -> tuple[int, float] | None:
    """Trials, and mean seconds of training, until the mean regret is at most `regret`; None where it never is."""
    below = np.flatnonzero(np.mean([one.regret for one in replays], 0) <= regret)
    if not len(below):
        return None
    return int(below[0]) + 1, float(np.mean([one.seconds[below[0]] for one in replays]))
