"""How many trials are open: enough for the workers, few enough for a sampler to learn."""

from typing import Any

import pytest

from rfe.search.open_trials import OpenTrials, plan_open_trials
from rfe.search_space import SearchSpace, load_space


def space_of(kind: str = "tpe", **given: Any) -> SearchSpace:
    lines = {"train.lr": {"float": [0.001, 0.01]}, "model.dropout": {"float": [0.0, 0.5]}}
    return load_space({"study": "s", "space": lines, "sampler": {"kind": kind}, **given})


@pytest.mark.parametrize(
    ("kind", "trials", "n_workers", "stack", "found"),
    [
        ("tpe", 100, 2, 4, OpenTrials(4, 12)),  # two workers of one machine: nothing is limited
        ("tpe", 100, 1, 32, OpenTrials(13, 13)),  # one GPU
        ("tpe", None, 1, 32, OpenTrials(13, 13)),
        ("gp", 1000, 1, 32, OpenTrials(32, 64)),
        ("tpe", 100, 8, 32, OpenTrials(32, 32)),  # four for each of eight GPUs
        ("random", 100, 1, 32, OpenTrials(32, 64)),
        ("nsga2", 100, 1, 32, OpenTrials(32, 64)),
        ("tpe", 24, 2, 4, OpenTrials(4, 8)),
    ],
)
def test_a_sampler_that_learns_has_few_trials_open(
    kind: str, trials: int | None, n_workers: int, stack: int, found: OpenTrials
) -> None:
    assert plan_open_trials(space_of(kind), trials, n_workers=n_workers, stack=stack, prefetch=1) == found


def test_what_the_user_fixed_is_not_limited() -> None:
    assert plan_open_trials(space_of(cohort=40), 100, n_workers=1, stack=32, prefetch=1) == OpenTrials(40, 72)


def test_without_prefetch_cohorts_follow_each_other() -> None:
    assert plan_open_trials(space_of(), 100, n_workers=1, stack=4, prefetch=0) == OpenTrials(4, 4)
