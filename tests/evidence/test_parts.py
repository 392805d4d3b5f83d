"""Hits by actor give the same intervals as hits by clip."""

import numpy as np
import pytest

from rfe.metrics.intervals import InfluenceTable, difference_interval, score_interval
from rfe.task import BLEMORE
from tests.evidence.parts import hits_by_actor, join_tables, table_of

rng = np.random.default_rng(0)
N_ACTORS, N_CLIPS = 12, 400
ACTOR = rng.integers(0, N_ACTORS, N_CLIPS)
FOLD = ACTOR % 3
TRUTH = rng.integers(0, BLEMORE.n_states, N_CLIPS)
RIGHT = rng.random((2, 3, N_CLIPS)) < 0.4
ARM, BASE = np.where(RIGHT, TRUTH, rng.integers(0, BLEMORE.n_states, (2, 3, N_CLIPS)))


def test_intervals_survive_the_sums() -> None:
    arm, base = (InfluenceTable.of_answers(BLEMORE, TRUTH, one, ACTOR, FOLD) for one in (ARM, BASE))
    summed_arm, summed_base = (table_of(hits_by_actor(TRUTH, one, ACTOR, FOLD)) for one in (ARM, BASE))
    for part in ("score", "acc_presence", "acc_salience"):
        whole, summed = score_interval(arm, part), score_interval(summed_arm, part)
        assert summed.estimate == pytest.approx(whole.estimate)
        assert summed.standard_error == pytest.approx(whole.standard_error)
        assert summed.degrees_of_freedom == whole.degrees_of_freedom
    whole, summed = difference_interval(arm, base), difference_interval(summed_arm, summed_base)
    assert summed.bounds() == pytest.approx(whole.bounds())


def test_the_mean_over_seeds_is_one_seed() -> None:
    hits = hits_by_actor(TRUTH, ARM, ACTOR, FOLD)
    one = table_of(hits, over_seeds=True)
    assert one.n_seeds == 1
    assert score_interval(one).estimate == pytest.approx(score_interval(table_of(hits)).estimate)


def test_joined_tables_keep_their_actors_apart() -> None:
    both = join_tables([hits_by_actor(TRUTH, one, ACTOR) for one in (ARM, BASE)])
    assert len(np.unique(both.actor)) == 2 * N_ACTORS
    assert both.n_seeds == 3
