"""What averaging flattened is made steep again."""

import numpy as np
import pytest

from rfe.ensemble.recalibration import Recalibration
from rfe.task import BLEMORE


def test_recalibration_undoes_what_flattened_a_distribution() -> None:
    rng = np.random.default_rng(0)
    true = rng.dirichlet(np.full(BLEMORE.n_states, 0.2), 4000)
    truth = (true.cumsum(1) > rng.random((4000, 1))).argmax(1)
    flat = np.sqrt(true)
    flat /= flat.sum(1, keepdims=True)
    fitted = Recalibration.fit(BLEMORE, flat, truth)
    assert fitted.slope == pytest.approx(2.0, abs=0.1)
    assert fitted.blend_bias == pytest.approx(0.0, abs=0.15)
    np.testing.assert_allclose(fitted.apply(BLEMORE, flat).sum(-1), 1)
