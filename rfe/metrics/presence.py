"""ACC_presence: is the predicted set of emotions the true one?

Source: the BlEmoRE challenge (arXiv 2601.13225).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.labels import STATE_SET


def presence_hits(
    truth_state: NDArray[np.integer[Any]], predicted_state: NDArray[np.integer[Any]]
) -> NDArray[np.bool_]:
    """Whether each answer names exactly the true emotions, whatever their salience.

    Args:
        truth_state: [clip] indices into `labels.STATE_SALIENCE`.
        predicted_state: [..., clip] the same; -1 (no answer) is always wrong.

    Returns:
        [..., clip] bool; its mean over clips is ACC_presence.
    """
    hits: NDArray[np.bool_] = (STATE_SET[predicted_state] == STATE_SET[truth_state]) & (predicted_state >= 0)
    return hits
