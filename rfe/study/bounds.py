"""Finds parameters whose best trials are at a bound of their range, which is then probably too small."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import binom

from rfe.config.load import change_config
from rfe.config.schema import Config
from rfe.errors import ConfigError
from rfe.search_space.dimensions import Dimension, ResolvedSpace
from rfe.study.importance import Point

TOP_SHARE = 0.1
FEWEST_TOP = 5
FEWEST_TRIALS = 20
EDGE = 0.05
"""The outermost share of a range that counts as its bound."""
CHANCE = 0.01
"""So many of the best at a bound would be seen by chance this rarely at most, had they been drawn evenly."""


@dataclass(frozen=True)
class BoundHit:
    """A parameter whose best trials are at one end of its range."""

    name: str
    side: Literal["lower", "upper"]
    bound: float
    n_at: int
    """Of the best trials in which the parameter counts, those at the bound."""
    n_best: int
    natural: bool
    """The field itself, or the data's number of encoders, ends there: the space cannot be made larger."""


def find_bound_hits(resolved: ResolvedSpace, points: Sequence[Point]) -> tuple[BoundHit, ...]:
    """Find bounds that at least half of the best tenth of trials are at, more than expected by chance.

    Args:
        resolved: the space.
        points: scored trials; nothing is found in fewer than `FEWEST_TRIALS`.
    """
    if len(points) < FEWEST_TRIALS:
        return ()
    n_best = max(FEWEST_TOP, math.ceil(TOP_SHARE * len(points)))
    best = sorted(points, key=lambda point: (-point.score, point.number))[:n_best]
    hits = []
    for dimension in resolved.dimensions:
        if dimension.kind == "choice":
            continue
        places = [_place(dimension, p.counted[dimension.name]) for p in best if dimension.name in p.counted]
        if len(places) < FEWEST_TOP:
            continue
        for side, bound in (("lower", dimension.low), ("upper", dimension.high)):
            n_at = sum((1 - place if side == "upper" else place) <= EDGE for place in places)
            by_chance = binom.sf(n_at - 1, len(places), max(EDGE, 1 / _n_values(dimension)))
            if 2 * n_at >= len(places) and by_chance < CHANCE:
                end = float(bound or 0)
                natural = _ends_there(dimension, side, end, len(resolved.encoders))
                hits.append(BoundHit(dimension.name, side, end, n_at, len(places), natural))  # type: ignore[arg-type]
    return tuple(hits)


def _place(dimension: Dimension, value: object) -> float:
    """Where in its range a value lies, 0 to 1, evenly as it was sampled."""
    low, high, mine = float(dimension.low or 0), float(dimension.high or 0), float(value)  # type: ignore[arg-type]
    if dimension.log:
        return math.log(mine / low) / math.log(high / low)
    return (mine - low) / (high - low)


def _n_values(dimension: Dimension) -> float:
    step = dimension.step or (1 if dimension.kind == "int" else None)
    return math.inf if step is None else (float(dimension.high or 0) - float(dimension.low or 0)) / step + 1


def _ends_there(dimension: Dimension, side: str, bound: float, n_encoders: int) -> bool:
    if dimension.name == "model.n_kept" and side == "upper":
        return bound >= n_encoders
    step = 1 if dimension.kind == "int" else 1e-9 + 1e-6 * abs(bound)
    beyond = bound + step if side == "upper" else bound - step
    try:
        change_config(Config(), {dimension.name: round(beyond) if dimension.kind == "int" else beyond})
    except ConfigError:
        return True
    return False
