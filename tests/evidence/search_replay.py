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
from rfe.search_space.dimensions import Dimension
from rfe.search_space.effective import counted_values
from rfe.search_space.schema import Sampler
from rfe.study.samplers import build_distributions, build_sampler
from tests.evidence.search_tables import DECODERS, Row

Float = NDArray[np.float64]
Params = Mapping[str, Any]
NAMES = (*DECODERS, "log_likelihood", "log_seconds")
"""What is modelled of a point: the Score by each decoder, and two more."""
MARKS = 20_000
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
        self._models = {name: self._fit(self.values(name)) for name in NAMES}

    def values(self, name: str) -> Float:
        """[row] as recorded."""
        of: Callable[[Row], float] = {
            "log_likelihood": lambda row: row.log_likelihood,
            "log_seconds": lambda row: float(np.log(row.seconds)),
        }.get(name, lambda row: row.scores[name])
        return np.array([of(row) for row in self.rows])

    def encode(self, params: Params) -> Float:
        """Numbers of a point: what has no effect stands at a value of its own."""
        counted = counted_values(self.resolved, dict(params))
        return np.concatenate([_encode(one, counted.get(one.name)) for one in self.resolved.dimensions])

    def _fit(self, values: Float) -> GaussianProcessRegressor:
        n = self._features.shape[1]
        smooth = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(np.full(n, 2.0), (0.2, 100.0), nu=2.5)
        kernel = smooth + WhiteKernel(0.3, (1e-3, 2.0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a length at its bound is a dimension without effect
            return GaussianProcessRegressor(kernel, normalize_y=True).fit(self._features, values)

    def truth(self, points: Sequence[Params]) -> dict[str, Float]:
        """Name -> [point] what a point is worth, without the luck of a seed."""
        features = np.stack([self.encode(one) for one in points])[:, self._varies]
        return {name: model.predict(features) for name, model in self._models.items()}

    def explained(self, name: str) -> float:
        """Squared correlation of the process with rows that it has not seen, in ten parts; noise is in it."""
        model, values = self._models[name], self.values(name)
        fixed = GaussianProcessRegressor(model.kernel_, optimizer=None, normalize_y=True)
        groups = [row.point for row in self.rows]
        found = cross_val_predict(fixed, self._features, values, groups=groups, cv=GroupKFold(10))
        return float(np.corrcoef(found, values)[0, 1] ** 2)

    @cached_property
    def noise(self) -> Float:
        """[draw, name] what seeds did to the configurations that have several, scaled to one seed's variance."""
        table = np.stack([self.values(name) for name in NAMES], -1)
        points = np.array([row.point for row in self.rows])
        parts = [table[points == one] for one in np.unique(points) if (points == one).sum() > 1]
        return np.concatenate([(part - part.mean(0)) * np.sqrt(len(part) / (len(part) - 1)) for part in parts])

    @cached_property
    def best(self) -> float:
        """The highest true Score found: of many random points, then of steps from the best ones."""
        rng = random.Random(1)
        points = [sample_params(self.resolved, rng) for _ in range(MARKS)]
        worth = self._score(points)
        for _ in range(5):
            top = [points[index] for index in np.argsort(-worth)[:50]]
            points = [*top, *(self._mutate(one, rng) for one in top for _ in range(20))]
            worth = self._score(points)
        return float(worth.max())

    def _score(self, points: Sequence[Params]) -> Float:
        truth = self.truth(points)
        return np.max([truth[name] for name in DECODERS], 0)

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
    free_decoder: bool = False
    """Whether a trial is judged by its best decoder; else its decoder is searched."""
    objective: str = "score"
    """What the sampler is told: `score` or `log_likelihood`."""
    pick: str = "score"
    """By what the exported trial is chosen."""
    fixed: tuple[tuple[str, Any], ...] = ()
    """Dimensions that are not searched, and their values."""
    first: tuple[Params, ...] = ()
    """Points that come first."""
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
        truth = {name: float(value[0]) for name, value in world.truth([params]).items()}
        luck = dict(zip(NAMES, world.noise[rng.integers(len(world.noise))], strict=True))
        seen = {name: truth[name] + luck[name] for name in NAMES}
        decoder = max(DECODERS, key=seen.__getitem__) if strategy.free_decoder else params["decode.kind"]
        told.append(seen["log_likelihood"] if strategy.objective == "log_likelihood" else seen[decoder])
        judged.append(seen["log_likelihood"] if strategy.pick == "log_likelihood" else seen[decoder])
        true.append(truth[decoder])
        seconds.append(np.exp(truth["log_seconds"]))
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
