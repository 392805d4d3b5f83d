"""Which candidates make the final predictor, and with what weights. The best single one is the ensemble of one."""

from collections.abc import Sequence
from dataclasses import dataclass

from rfe.ensemble.candidates import Candidate
from rfe.errors import StudyError


@dataclass(frozen=True)
class Member:
    """A candidate and its share in the average."""

    candidate: Candidate
    weight: float


@dataclass(frozen=True)
class Ensemble:
    """Members whose weights sum to 1."""

    members: tuple[Member, ...]


def select_single(candidates: Sequence[Candidate], number: int | None = None) -> Ensemble:
    """The ensemble of one.

    Args:
        candidates: finished trials of one study.
        number: the trial; None takes the best confirmed one, or, where none is confirmed, the one with the best score
            (the earlier of equals).

    Raises:
        StudyError: no trial is finished, or there is no finished trial of that number.
    """
    if not candidates:
        raise StudyError("the study has no finished trial, so there is nothing to export; go on with `rfe search`")
    if number is None:
        best = max(candidates, key=lambda candidate: (candidate.rank_score, -candidate.number))
        return Ensemble((Member(best, 1.0),))
    for candidate in candidates:
        if candidate.number == number:
            return Ensemble((Member(candidate, 1.0),))
    numbers = [candidate.number for candidate in candidates]
    nearest = ", ".join(map(str, sorted(numbers, key=lambda other: abs(other - number))[:5]))
    raise StudyError(
        f"study {candidates[0].study!r}: trial {number} is not among its {len(numbers)} finished trials "
        f"(failed, pruned and repeated ones have no model of their own); finished ones near it: {nearest}"
    )
