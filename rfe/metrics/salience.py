"""ACC_salience: over true blends, are both classes and both saliences exactly right?

Source: the BlEmoRE challenge (arXiv 2601.13225).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.task import Task


def salience_hits(
    task: Task, truth_state: NDArray[np.integer[Any]], predicted_state: NDArray[np.integer[Any]]
) -> NDArray[np.bool_]:
    """Whether each true blend is answered with its exact state.

    Args:
        task: whose states are meant.
        truth_state: [clip] true states.
        predicted_state: [..., clip] the same; -1 (no answer) is always wrong.

    Returns:
        [..., clip] bool, False wherever the truth is a single; its sum over the number of true blends is ACC_salience.

    Examples:
        >>> task = Task("ab", ("a", "b"), pairs=((0, 1),), ratios_percent=(75, 25))
        >>> salience_hits(task, np.array([0, 2, 2]), np.array([0, 2, 3])).tolist()  # a single never counts
        [False, True, False]
    """
    hits: NDArray[np.bool_] = (predicted_state == truth_state) & task.state_is_blend[truth_state]
    return hits
