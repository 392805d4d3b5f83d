"""ACC_presence: is the predicted set of classes the true one?

Source: the BlEmoRE challenge (arXiv 2601.13225).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.task import Task


def presence_hits(
    task: Task, truth_state: NDArray[np.integer[Any]], predicted_state: NDArray[np.integer[Any]]
) -> NDArray[np.bool_]:
    """Whether each answer names exactly the true classes, whatever their salience.

    Args:
        task: whose states are meant.
        truth_state: [clip] true states.
        predicted_state: [..., clip] the same; -1 (no answer) is always wrong.

    Returns:
        [..., clip] bool; its mean over clips is ACC_presence.

    Examples:
        >>> task = Task("ab", ("a", "b"), pairs=((0, 1),), ratios_percent=(75, 25))
        >>> presence_hits(task, np.array([0, 2]), np.array([1, 3])).tolist()  # the blend's ratio does not count
        [False, True]
    """
    answered, true = task.state_set[predicted_state], task.state_set[truth_state]
    hits: NDArray[np.bool_] = (answered == true) & (predicted_state >= 0)
    return hits
