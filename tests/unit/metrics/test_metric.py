"""What all metrics share."""

import numpy as np

from rfe.metrics.metric import LabelShares
from rfe.task import BLEMORE


def test_label_shares_count_blends_and_sets() -> None:
    """No other test noticed where the share of blends was 0 of any clips."""
    singles, blends = np.flatnonzero(~BLEMORE.state_is_blend), np.flatnonzero(BLEMORE.state_is_blend)
    state = np.array([singles[0], singles[0], singles[1], blends[0]])
    shares = LabelShares.of(BLEMORE, state)
    assert shares.blend == 0.25
    np.testing.assert_allclose(shares.sets[BLEMORE.state_set[state]], [0.5, 0.5, 0.25, 0.25])
    assert shares.sets.sum() == 1.0


def test_no_clips_have_shares_of_nothing() -> None:
    shares = LabelShares.of(BLEMORE, np.zeros(0, np.int64))
    assert shares.blend == 0.0
    assert shares.sets.shape == (BLEMORE.n_sets,)
    assert not shares.sets.any()
