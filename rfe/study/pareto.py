"""Trials with several objectives, all to be maximised: those that no other trial is better than in everything."""

from collections.abc import Mapping, Sequence


def covers(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether `one` is at least as good as `other` in every objective.

    Examples:
        >>> covers((0.5, 0.3), (0.5, 0.2)), covers((0.5, 0.1), (0.5, 0.2))
        (True, False)
    """
    return all(a >= b for a, b in zip(one, other, strict=True))


def pareto_front(values: Mapping[int, Sequence[float]]) -> tuple[int, ...]:
    """Numbers of the trials on the front, best in the first objective first; of equal trials all.

    Args:
        values: trial number -> a value for each objective.

    Examples:
        >>> pareto_front({0: (0.5, 0.1), 1: (0.4, 0.2), 2: (0.3, 0.1)})
        (0, 1)
    """
    front: list[int] = []
    # what is better in everything comes first, so that the front so far is all that need be compared with
    for number in sorted(values, key=lambda number: ([-value for value in values[number]], number)):
        mine = tuple(values[number])
        if not any(covers(values[other], mine) and tuple(values[other]) != mine for other in front):
            front.append(number)
    return tuple(front)
