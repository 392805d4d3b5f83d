"""Optuna's storage with its queue looked up instead of searched."""

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from rfe.study.log import StudyLog
from rfe.study.trials import open_storage

SPACE = {"rate": FloatDistribution(0.0, 1.0)}


@pytest.mark.parametrize("seed", range(5))
def test_the_queue_is_what_a_search_through_all_trials_finds(tmp_path: Path, seed: int) -> None:
    storage = open_storage(StudyLog(tmp_path / "optuna.log"))
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=seed))
    stream = np.random.default_rng(seed)
    running: list[int] = []
    seen_waiting = 0
    for action in stream.integers(0, 5, 60):
        if action == 0:
            study.enqueue_trial({"rate": 0.5})
        elif action == 1:
            study.add_trial(create_trial(params={"rate": 0.1}, distributions=SPACE, value=0.2))
        elif action < 4:
            running.append(study.ask(SPACE).number)
        elif running:
            study.tell(running.pop(int(stream.integers(len(running)))), 0.3)
        everything = study.get_trials(deepcopy=False)
        waiting = [one.number for one in everything if one.state == TrialState.WAITING]
        found = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        assert [one.number for one in found] == waiting
        assert storage.get_n_trials(study._study_id) == len(everything)
        seen_waiting += len(waiting)
    assert seen_waiting
    again = open_storage(StudyLog(tmp_path / "optuna.log"))
    found = again.get_all_trials(study._study_id, deepcopy=False, states=(TrialState.WAITING,))
    assert [one.number for one in found] == waiting
