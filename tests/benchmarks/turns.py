"""Timing by turns: a machine that others use too is not as fast at one minute as at the next, so what is compared runs
one after the other, again and again, and a ratio is the median of each round's."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Turns:
    """Seconds of each round, by who ran."""

    seconds: Mapping[str, list[float]]

    def median(self, who: str) -> float:
        """Seconds."""
        return median(self.seconds[who])

    def ratio(self, slow: str, fast: str) -> tuple[float, float, float]:
        """Median, smallest and largest of each round's `slow` over `fast`."""
        ratios = sorted(a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True))
        return median(ratios), ratios[0], ratios[-1]


def take_turns(calls: Mapping[str, Callable[[], object]], rounds: int = 7) -> Turns:
    """Time each call once in every round, forwards and backwards by turns, after one warm-up of each."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {who: [] for who in calls}
    for number in range(rounds):
        order = list(calls) if number % 2 == 0 else list(reversed(tuple(calls)))
        for who in order:
            began = time.perf_counter()
            calls[who]()
            seconds[who].append(time.perf_counter() - began)
    return Turns(seconds)
