"""How much a search gained over its first trials and over random search, and what more trials would add.

The best of n draws is estimated as in a normal plot: scores against normal order statistics, a line through the upper
half, and its height at the largest of n. The lower half is left out, as bad configurations are worse than a normal
distribution has them and say nothing of the best. Positions by Blom, Statistical Estimates and Transformed
Beta-Variables, 1958; the interval is that of normal scores, from simulated ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.journal.asking import Origin

FEWEST = 5
"""Trials from which anything is estimated."""
DRAWS = 2000
COVERAGE = 0.95
WORTH = 0.003
"""A smaller gain is unlikely to repeat with another seed."""


@dataclass(frozen=True)
class Estimate:
    """An estimate with its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class SearchGain:
    """The gain of a search. All scores are single trials' as the search saw them: optimistic, but comparable."""

    trials: int
    """Scored trials."""
    best: float
    number: int
    """The best trial."""
    first: float | None
    """The best of the space's first trials; None without any."""
    random: Estimate | None
    """Best score expected of random search with as many trials; None where fewer than `FEWEST`, or all, were random."""
    n_random: int
    """How many it is estimated from."""
    more: Estimate | None
    """Expected gain of as many trials more, if they are like the last half of these."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        estimates = {"random": self.random, "more": self.more}
        plain = {name: None if one is None else vars(one) for name, one in estimates.items()}
        return vars(self) | plain

    def sentences(self) -> tuple[str, ...]:
        """The same in sentences."""
        said = [f"best of {self.trials} trials: {self.best:.3f} (trial {self.number})"]
        if self.first is not None:
            said.append(
                f"best first trial: {self.first:.3f}; the search "
                + (f"gained {self.best - self.first:.3f}" if self.best > self.first else "found nothing better")
            )
        if self.random is not None:
            said.append(
                f"{self.trials} random trials: about {self.random}, estimated from the {self.n_random} random ones"
                + ("; the search cannot be told from random search" if self.best <= self.random.high else "")
            )
        if self.more is not None:
            negligible = self.more.high < WORTH
            said.append(
                f"{self.trials} more trials: about +{self.more} on the best"
                + (f"; less than {WORTH:.3f}, so more trials are not worth it" if negligible else "")
            )
        return tuple(said)


def search_gain(scores: Mapping[int, float], origins: Mapping[int, Origin | str]) -> SearchGain | None:
    """Measure how much a search gained over its first trials and over random search.

    Args:
        scores: of the complete trials that are no copies, by number.
        origins: where each trial's parameters came from, by number.

    Returns:
        None with fewer than two trials: nothing was searched.

    Examples:
        >>> found = search_gain({0: 0.25, 1: 0.27, 2: 0.29}, {0: "first", 1: "sampler", 2: "sampler"})
        >>> found.sentences()[1]
        'best first trial: 0.250; the search gained 0.040'
    """
    if len(scores) < 2:
        return None
    numbers = sorted(scores)
    of_first = [scores[number] for number in numbers if origins.get(number) == "first"]
    of_random = [scores[number] for number in numbers if origins.get(number) == "random"]
    best = max(numbers, key=lambda number: (scores[number], -number))
    late = [scores[number] for number in numbers[len(numbers) // 2 :]]
    return SearchGain(
        trials=len(scores),
        best=scores[best],
        number=best,
        first=max(of_first, default=None),
        random=_estimate(of_random, len(scores)) if len(of_random) < len(scores) else None,
        n_random=len(of_random),
        more=_estimate(late, len(scores), above=scores[best]),
    )


def expected_best(scores: Sequence[float] | NDArray[np.float64], n: int) -> float:
    """The best of `n` draws from where `scores` came from.

    Args:
        scores: at least two, in any order.
        n: how many draws.

    Examples:
        >>> round(expected_best([NormalDist().inv_cdf((i + 0.5) / 50) for i in range(50)], 100), 1)
        2.5
    """
    height, _ = _normal_plot(np.asarray(scores, np.float64), n)
    return float(height)


def _normal_plot(scores: NDArray[np.float64], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """([...] height of the line through the upper half at the largest of n, [...] its slope) of scores [..., trial]."""
    ordered, k = np.sort(scores, -1), scores.shape[-1]
    places = np.array([_normal_place(i + 1, k) for i in range(k // 2, k)])
    upper, spread = ordered[..., k // 2 :], places - places.mean()
    slope = upper @ spread / (spread @ spread)
    return upper.mean(-1) + slope * (_normal_place(n, n) - places.mean()), slope


def _normal_place(rank: int, of: int) -> float:
    """What the rank-th smallest of so many standard normal numbers is on average."""
    return NormalDist().inv_cdf((rank - 0.375) / (of + 0.25))


def _estimate(scores: Sequence[float], n: int, above: float = 0.0) -> Estimate | None:
    """`expected_best` of n less a number, at least 0; None of too few scores."""
    if len(scores) < FEWEST:
        return None
    height, slope = _normal_plot(np.asarray(scores, np.float64), n)
    pretended, slopes = _normal_plot(np.random.default_rng(0).standard_normal((DRAWS, len(scores))), n)
    errors = (pretended - _normal_place(n, n)) / slopes
    high, low = np.quantile(errors, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    value, least, most = (max(0.0, float(one) - above) for one in (height, height - low * slope, height - high * slope))
    return Estimate(value, min(least, value), max(most, value))
