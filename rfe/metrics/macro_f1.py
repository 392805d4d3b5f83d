"""Macro F1 of sets: the mean over sets of 2 TP / (answered + true), over those that are true or answered at all."""

import numpy as np
from numpy.typing import NDArray

from rfe.metrics.accuracy import TIE_BREAK
from rfe.metrics.metric import Float, Int, LabelShares, divide, set_probabilities, totals_of
from rfe.task import Task

RARE = 1e-3
"""Smallest share of a set in the expected gain: a set that is rare in training must not win every answer."""
ADJUSTMENT = 0.25
"""Power of a set's share that its probability is divided by. Between 0 (the likeliest set) and 1 (best for balanced
accuracy); on simulated distributions over 6 to 16 uneven sets .25 gained up to .08 and never lost."""


class MacroF1:
    """Numbers: for each set its true positives, its answers, its true clips; one after another.

    Source: Opitz and Burst, arXiv 1911.03347 (the mean of the classes' F1, not F1 of the mean precision and recall).

    Examples:
        >>> from rfe.metrics.metric import totals_of
        >>> task = Task("valence", ("neg", "pos"))
        >>> totals = totals_of(MacroF1(), task, np.array([0, 0, 1]), np.array([0, 1, 1]))
        >>> round(float(MacroF1().value(totals)), 3)
        0.667
    """

    name = "macro_f1"
    title = "macro F1"

    def totals(self, task: Task, truth_state: Int, predicted_state: Int, member: Float) -> NDArray[np.float64]:
        """As `Metric.totals`."""
        truth = task.state_set[truth_state]
        answered = np.where(predicted_state >= 0, task.state_set[predicted_state], task.n_sets)  # the last: no answer
        rows = answered.reshape(int(np.prod(answered.shape[:-1])), answered.shape[-1])
        totals = np.zeros((len(rows), member.shape[1], 3, task.n_sets + 1))
        width = task.n_sets + 1
        cell = np.arange(len(rows))[:, None] * width  # one count for all rows: a decoder tries hundreds of answers
        right, size = rows == truth, len(rows) * width
        for group in range(member.shape[1]):
            of_clip = member[:, group].astype(np.float64)
            weight = np.broadcast_to(of_clip, rows.shape)
            totals[:, group, 2] = np.bincount(truth, of_clip, width)
            totals[:, group, 0] = np.bincount((cell + truth)[right], weight[right], size).reshape(-1, width)
            totals[:, group, 1] = np.bincount((cell + rows).ravel(), weight.ravel(), size).reshape(-1, width)
        return totals[..., :-1].reshape(*answered.shape[:-1], member.shape[1], 3 * task.n_sets)

    def value(self, totals: Float) -> NDArray[np.float64]:
        """As `Metric.value`."""
        right, either = self._parts(totals)
        occurs = either > 0
        each = np.where(occurs, divide(2 * right, either), 0.0)
        return divide(each.sum(-1), occurs.sum(-1))

    def influence(self, task: Task, truth_state: Int, predicted_state: Int, totals: Float) -> NDArray[np.float64]:
        """As `Metric.influence`; with F_T = 2 TP / (answered + true), dF_T = (2 dTP - F_T (danswered + dtrue)) /
        (answered + true)."""
        right, either = self._parts(totals)
        occurs = either > 0
        scale = np.where(occurs, divide(1.0, either), 0.0) / np.maximum(occurs.sum(-1, keepdims=True), 1)
        lost = np.where(occurs, divide(2 * right, either), 0.0) * scale  # [..., set]
        truth = task.state_set[truth_state]
        given = predicted_state >= 0
        answered = np.where(given, task.state_set[predicted_state], 0)
        by_clip = np.broadcast_to(lost, (*answered.shape[:-1], task.n_sets))
        of_answer = np.where(given, np.take_along_axis(by_clip, answered, -1), 0.0)
        right_here = given & (answered == truth)
        return np.asarray(np.where(right_here, 2 * scale[..., truth], 0.0) - lost[..., truth] - of_answer)

    def clip_values(self, task: Task, truth_state: Int, predicted_state: Int) -> NDArray[np.float64]:
        """As `Metric.clip_values`: the value plus each clip's influence times the number of clips."""
        totals = totals_of(self, task, truth_state, predicted_state)
        return self.value(totals)[..., None] + len(truth_state) * self.influence(
            task, truth_state, predicted_state, totals
        )

    def expected_gains(self, task: Task, probabilities: Float, shares: LabelShares) -> NDArray[np.float64]:
        """As `Metric.expected_gains`. Macro F1 has no closed form per clip, so this is a plug-in: each set's
        probability over a power of its share among the training clips, which answers rare sets more often.

        Source: logit adjustment (Menon et al., arXiv 2007.07314), with a power below their 1.
        """
        gain = set_probabilities(task, probabilities) / np.maximum(shares.sets, RARE) ** ADJUSTMENT
        return np.asarray(gain[..., task.state_set] + TIE_BREAK * probabilities)

    def _parts(self, totals: Float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """True positives, and answers plus true clips, each [..., set]."""
        by_set = np.asarray(totals, np.float64).reshape(*totals.shape[:-1], 3, -1)
        return by_set[..., 0, :], by_set[..., 1, :] + by_set[..., 2, :]
