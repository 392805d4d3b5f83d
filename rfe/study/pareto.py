"""Trials with several objectives, all to be maximised: those that no other trial is better than in everything."""

from collections.abc import Mapping, Sequence


def covers(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether `one` is at least as good as `other` in every objective."""
    return all(a >= b for a, b in zip(one, other, strict=True))


def pareto_front(values: Mapping[int, Sequence[float]]) -> tuple[int, ...]:
    """Numbers of the trials on the front, best in the first objective first; of equal trials all.

    Args:
        values: trial number -> a value for each objective.
    """
    front = [
        number
        for number, mine in values.items()
        if not any(covers(other, mine) and tuple(other) != tuple(mine) for other in values.values())
    ]
    return tuple(sorted(front, key=lambda number: ([-value for value in values[number]], number)))
