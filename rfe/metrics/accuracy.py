"""Accuracy of sets: the share of clips whose classes are exactly the true ones, whatever their saliences."""

import numpy as np
from numpy.typing import NDArray

from rfe.metrics.metric import Float, Int, LabelShares, divide, set_probabilities
from rfe.metrics.presence import presence_hits
from rfe.task import Task


class Accuracy:
    """Numbers: clips that are right, clips. BlEmoRE calls it ACC_presence (arXiv 2601.13225).

    Examples:
        >>> from rfe.metrics.metric import totals_of
        >>> task = Task("valence", ("neg", "pos"))
        >>> metric = Accuracy()
        >>> totals = totals_of(metric, task, np.array([0, 1, 1]), np.array([0, 1, 0]))
        >>> totals.tolist(), round(float(metric.value(totals)), 3)
        ([2.0, 3.0], 0.667)
    """

    name = "accuracy"
    title = "accuracy"

    def totals(self, task: Task, truth_state: Int, predicted_state: Int, member: Float) -> NDArray[np.float64]:
        """As `Metric.totals`."""
        right = presence_hits(task, truth_state, predicted_state).astype(member.dtype) @ member
        return np.stack([right, np.broadcast_to(member.sum(0), right.shape)], -1).astype(np.float64)

    def value(self, totals: Float) -> NDArray[np.float64]:
        """As `Metric.value`."""
        return divide(totals[..., 0], totals[..., 1])

    def influence(self, task: Task, truth_state: Int, predicted_state: Int, totals: Float) -> NDArray[np.float64]:
        """As `Metric.influence`: (hit - accuracy) / clips."""
        hits = presence_hits(task, truth_state, predicted_state)
        return divide(hits - self.value(totals), totals[..., 1])

    def clip_values(self, task: Task, truth_state: Int, predicted_state: Int) -> NDArray[np.float64]:
        """As `Metric.clip_values`."""
        return presence_hits(task, truth_state, predicted_state).astype(np.float64)

    def expected_gains(self, task: Task, probabilities: Float, shares: LabelShares) -> NDArray[np.float64]:
        """As `Metric.expected_gains`: the probability of the answer's set. Among its ratios the likeliest is answered,
        by a gain too small to change the set."""
        sets = set_probabilities(task, probabilities)
        return np.asarray(sets[..., task.state_set] + TIE_BREAK * probabilities)


TIE_BREAK = 1e-9
"""Weight of a state's own probability where the metric does not look at saliences."""
