"""1 - mean absolute error of saliences, so that more is better as for every metric.

A clip's error is half the sum over classes of |answered - true salience|, the total variation distance: 0 for the exact
state, .2 for 50/50 in the place of 70/30, 1 where no class is right or there is no answer.
"""

import numpy as np
from numpy.typing import NDArray

from rfe.metrics.metric import Float, Int, LabelShares, divide
from rfe.task import Task

CHUNK = 64
"""Answers whose distances to all states are held at a time."""


class SalienceMae:
    """Numbers: the errors' sum, clips.

    Examples:
        >>> from rfe.metrics.metric import totals_of
        >>> from rfe.task import BLEMORE
        >>> blend = np.array([BLEMORE.n_classes])  # 70/30; the next state is 50/50 of the same two
        >>> round(float(SalienceMae().value(totals_of(SalienceMae(), BLEMORE, blend, blend + 1))), 3)
        0.8
    """

    name = "salience_mae"
    title = "1 - salience MAE"

    def totals(self, task: Task, truth_state: Int, predicted_state: Int, member: Float) -> NDArray[np.float64]:
        """As `Metric.totals`."""
        wrong = _errors(task, truth_state, predicted_state) @ member
        return np.stack([wrong, np.broadcast_to(member.sum(0), wrong.shape)], -1).astype(np.float64)

    def value(self, totals: Float) -> NDArray[np.float64]:
        """As `Metric.value`."""
        return 1.0 - divide(totals[..., 0], totals[..., 1])

    def influence(self, task: Task, truth_state: Int, predicted_state: Int, totals: Float) -> NDArray[np.float64]:
        """As `Metric.influence`: (mean error - error) / clips."""
        errors = _errors(task, truth_state, predicted_state)
        return divide(divide(totals[..., 0], totals[..., 1]) - errors, totals[..., 1])

    def clip_values(self, task: Task, truth_state: Int, predicted_state: Int) -> NDArray[np.float64]:
        """As `Metric.clip_values`."""
        return 1.0 - _errors(task, truth_state, predicted_state)

    def expected_gains(self, task: Task, probabilities: Float, shares: LabelShares) -> NDArray[np.float64]:
        """As `Metric.expected_gains`: minus the expected error of the answer, exact."""
        given = np.asarray(probabilities, np.float64)
        salience = task.state_salience.astype(np.float64)
        gains = np.empty(given.shape)
        for start in range(0, task.n_states, CHUNK):  # 64 classes have 18,000 states, whose full table is 2.6 GB
            answers = salience[start : start + CHUNK]
            distance = 0.5 * np.abs(salience[:, None] - answers).sum(-1)  # [state, answer]
            gains[..., start : start + CHUNK] = -(given @ distance)
        return gains


def _errors(task: Task, truth_state: Int, predicted_state: Int) -> NDArray[np.float64]:
    """[..., clip]"""
    salience = task.state_salience.astype(np.float64)
    errors = 0.5 * np.abs(salience[predicted_state] - salience[truth_state]).sum(-1)
    return np.where(predicted_state >= 0, errors, 1.0)
