"""First trials that are chosen by what recorded settings say of them, and which dimensions matter there.

The portfolio is chosen greedily: each further point lowers the mean, over settings, of the best so far's regret, in
units of how much Score varies there. For a setting's own replay it is chosen on the other settings alone.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.search_space import sample_params
from rfe.search_space.dimensions import POOL_PREFIX
from tests.evidence.search_replay import Params, World

PORTFOLIO = 8
"""First trials."""
CANDIDATES = 1500
DRAWS = 8
"""Functions of each setting that its table leaves possible: a portfolio by the likeliest alone has no second choice."""
TARGET = "valid_states"
"""The decoder that all points of a portfolio have."""


def choose_portfolio(worlds: Sequence[World], n: int, fixed: Mapping[str, Any], seed: int = 0) -> list[Params]:
    """Points without their pool, which is all encoders: each set has others.

    Args:
        worlds: the settings to choose by.
        n: points wanted.
        fixed: dimensions and their values, which all points share.
        seed: of the points among which is chosen.

    Returns:
        The points, the best single one first.
    """
    rng, resolved = random.Random(seed), worlds[0].resolved
    drawn = [sample_params(resolved, rng) | dict(fixed) for _ in range(CANDIDATES)]
    points = [{name: value for name, value in one.items() if not name.startswith(POOL_PREFIX)} for one in drawn]
    regret = np.concatenate([_regrets(world, points, seed) for world in worlds])  # [function, point]
    best = np.full(len(regret), regret.max())
    chosen: list[Params] = []
    for _ in range(n):
        index = int(np.argmin(np.minimum(best[:, None], regret).mean(0)))
        chosen.append(points[index])
        best = np.minimum(best, regret[:, index])
    return chosen


def whole_pool(world: World, params: Params) -> Params:
    """The point with all of a setting's encoders."""
    pool = {one.name: True for one in world.resolved.dimensions if one.name.startswith(POOL_PREFIX)}
    return {**params, **pool}


def _regrets(world: World, points: Sequence[Params], seed: int) -> NDArray[np.float64]:
    """[function, point] in units of how much the Score varies over the table."""
    drawn = world.draw_scores([whole_pool(world, one) for one in points], TARGET, DRAWS, seed)
    regret: NDArray[np.float64] = (drawn.max(1, keepdims=True) - drawn) / world.values(TARGET).std()
    return regret


def effects(world: World, n: int = 400) -> dict[str, float]:
    """Dimension -> root mean square change of the true Score when it alone is drawn again, over the root of 2."""
    rng = random.Random(3)
    points = [sample_params(world.resolved, rng) for _ in range(n)]
    before = world.truth(points, TARGET)
    found = {}
    for one in world.resolved.dimensions:
        changed = [{**point, one.name: sample_params(world.resolved, rng)[one.name]} for point in points]
        found[one.name] = float(np.sqrt(((world.truth(changed, TARGET) - before) ** 2).mean() / 2))
    return found
