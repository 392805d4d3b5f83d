"""States by what a file says of a clip."""

from math import inf, nan

import pytest

from rfe.labels import N_STATES, state_index, state_percents


def test_each_state_is_found_by_its_percents() -> None:
    assert [
        state_index({name: float(share) for name, share in state_percents(s).items()}) for s in range(N_STATES)
    ] == [*range(N_STATES)]


@pytest.mark.parametrize(
    ("percents", "problem"),
    [
        ({"ang": inf}, "has inf"),
        ({"ang": nan}, "has nan"),
        ({"ang": 99.0}, "has 99"),
        ({"ang": nan, "hap": 30.0}, "must sum to 100"),
        ({"ang": inf, "hap": 30.0}, "must sum to 100"),
        ({"ang": 60.0, "hap": 40.0}, "50/50, 70/30 or 30/70"),
        ({"neu": 50.0, "hap": 50.0}, "neutral never blends"),
    ],
)
def test_illegal_percents_are_refused_in_a_sentence(percents: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        state_index(percents)
