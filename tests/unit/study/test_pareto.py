"""The front of trials with several objectives, against Optuna's own."""

import numpy as np
import optuna
import pytest

from rfe.study import covers, pareto_front


def test_dominated_trials_are_not_on_the_front() -> None:
    values = {4: (0.5, 0.5), 1: (0.6, 0.4), 2: (0.4, 0.6), 3: (0.4, 0.5), 0: (0.5, 0.5), 7: (0.6, 0.3)}
    assert pareto_front(values) == (1, 0, 4, 2)  # of equal ones both
    assert pareto_front({}) == ()
    assert covers((1.0, 2.0), (1.0, 2.0))
    assert not covers((1.0, 2.0), (0.0, 3.0))


@pytest.mark.parametrize("n", [2, 3])
def test_it_is_optunas(n: int) -> None:
    rows = np.random.default_rng(n).integers(0, 12, (60, n)) / 12
    study = optuna.create_study(directions=["maximize"] * n)
    for row in rows:
        study.add_trial(optuna.trial.create_trial(values=[float(value) for value in row]))
    assert sorted(pareto_front({i: tuple(row) for i, row in enumerate(rows)})) == [t.number for t in study.best_trials]
