"""The BlEmoRE challenge's Score = (ACC_presence + ACC_salience) / 2, and ACC_salience alone.

Source: arXiv 2601.13225. A pooled score divides the hits of all folds by the clips (blends) of all folds; it is not the
mean of the folds' scores.
"""

import numpy as np
from numpy.typing import NDArray

from rfe.metrics.metric import Float, Int, LabelShares, divide
from rfe.metrics.presence import presence_hits
from rfe.metrics.salience import salience_hits
from rfe.task import Task


class Blemore:
    """Numbers: clips whose set is right, blends whose state is right, clips, blends.

    Examples:
        >>> from rfe.metrics.metric import totals_of
        >>> from rfe.task import BLEMORE
        >>> single, blend = 0, BLEMORE.n_classes
        >>> totals = totals_of(Blemore(), BLEMORE, np.array([single, blend]), np.array([single, blend + 1]))
        >>> totals.tolist(), float(Blemore().value(totals))
        ([2.0, 0.0, 2.0, 1.0], 0.5)
    """

    name = "blemore"
    title = "Score"

    def totals(self, task: Task, truth_state: Int, predicted_state: Int, member: Float) -> NDArray[np.float64]:
        """As `Metric.totals`."""
        presence = presence_hits(task, truth_state, predicted_state).astype(member.dtype) @ member
        salience = salience_hits(task, truth_state, predicted_state).astype(member.dtype) @ member
        blends = task.state_is_blend[truth_state].astype(member.dtype) @ member
        sizes = (np.broadcast_to(one, presence.shape) for one in (member.sum(0), blends))
        return np.stack([presence, salience, *sizes], -1).astype(np.float64)

    def value(self, totals: Float) -> NDArray[np.float64]:
        """As `Metric.value`."""
        return 0.5 * divide(totals[..., 0], totals[..., 2]) + 0.5 * divide(totals[..., 1], totals[..., 3])

    def influence(self, task: Task, truth_state: Int, predicted_state: Int, totals: Float) -> NDArray[np.float64]:
        """As `Metric.influence`."""
        presence = presence_hits(task, truth_state, predicted_state)
        of_presence = divide(presence - divide(totals[..., 0], totals[..., 2]), totals[..., 2])
        return 0.5 * of_presence + 0.5 * _salience_influence(task, truth_state, predicted_state, totals[..., [1, 3]])

    def clip_values(self, task: Task, truth_state: Int, predicted_state: Int) -> NDArray[np.float64]:
        """As `Metric.clip_values`; nan without a blend."""
        presence = presence_hits(task, truth_state, predicted_state)
        return 0.5 * presence + 0.5 * SalienceAccuracy().clip_values(task, truth_state, predicted_state)

    def expected_gains(self, task: Task, probabilities: Float, shares: LabelShares) -> NDArray[np.float64]:
        """As `Metric.expected_gains`: what the answer adds to N (ACC_presence + ACC_salience), which is pi(T) for a
        single and pi(T) (1 + rho(r | T) / phi) for a blend, with phi the share of blends (0 leaves presence alone).
        Equation ours."""
        share = np.asarray(shares.blend, np.float64)[..., None]
        worth = np.divide(1.0, share, out=np.zeros_like(share), where=share > 0)
        singles, blends = probabilities[..., : task.n_classes], probabilities[..., task.n_classes :]
        by_pair = blends.reshape(*blends.shape[:-1], task.n_pairs, task.n_ratios)
        by_pair = by_pair.sum(-1, keepdims=True) + worth[..., None] * by_pair
        return np.concatenate([singles, by_pair.reshape(blends.shape)], -1)


class SalienceAccuracy:
    """Numbers: blends whose state is right, blends. Not a task's metric by itself, as it asks nothing of singles.

    Examples:
        >>> from rfe.metrics.metric import totals_of
        >>> from rfe.task import BLEMORE
        >>> totals = totals_of(SalienceAccuracy(), BLEMORE, np.array([0, 6, 7]), np.array([0, 6, 6]))
        >>> totals.tolist(), float(SalienceAccuracy().value(totals))
        ([1.0, 2.0], 0.5)
    """

    name = "acc_salience"
    title = "salience accuracy"

    def totals(self, task: Task, truth_state: Int, predicted_state: Int, member: Float) -> NDArray[np.float64]:
        """As `Metric.totals`."""
        return Blemore().totals(task, truth_state, predicted_state, member)[..., [1, 3]]

    def value(self, totals: Float) -> NDArray[np.float64]:
        """As `Metric.value`."""
        return divide(totals[..., 0], totals[..., 1])

    def influence(self, task: Task, truth_state: Int, predicted_state: Int, totals: Float) -> NDArray[np.float64]:
        """As `Metric.influence`: (hit - accuracy) / blends on blends, 0 elsewhere."""
        return _salience_influence(task, truth_state, predicted_state, totals)

    def clip_values(self, task: Task, truth_state: Int, predicted_state: Int) -> NDArray[np.float64]:
        """As `Metric.clip_values`; nan without a blend."""
        blend = task.state_is_blend[truth_state]
        hits = salience_hits(task, truth_state, predicted_state)
        return np.where(blend | ~blend.any(), divide(hits, blend.mean()), 0.0)

    def expected_gains(self, task: Task, probabilities: Float, shares: LabelShares) -> NDArray[np.float64]:
        """As `Metric.expected_gains`: the probability of the state, for blends only."""
        return np.where(task.state_is_blend, probabilities, 0.0)


def _salience_influence(task: Task, truth_state: Int, predicted_state: Int, totals: Float) -> NDArray[np.float64]:
    hits = salience_hits(task, truth_state, predicted_state)
    missing = task.state_is_blend[truth_state] * divide(totals[..., 0], totals[..., 1])
    return divide(hits - missing, totals[..., 1])
