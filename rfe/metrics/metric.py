"""What every metric offers: a value from sums over clips, its influence by clip, the expected gain of an answer.

A metric is a smooth function of sums over clips. So it can be pooled over folds and seeds (add the sums), has an
interval over actors (by its influence, the derivative with respect to one clip's part of the sums), and can be decoded
for (the expected gain of each answer). More is better for all of them.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rfe.task import Task

Float = NDArray[np.floating[Any]]
Int = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class LabelShares:
    """How frequent labels are among the clips a decoder was fitted on; leading axes `...` as the distribution's.

    Examples:
        >>> shares = LabelShares.of(Task("ab", ("a", "b"), pairs=((0, 1),)), np.array([0, 1, 1, 2]))
        >>> shares.blend, shares.sets.tolist()
        (0.25, [0.25, 0.5, 0.25])
    """

    blend: Float | float
    """[..., clip or 1] or scalar, share of blends."""
    sets: Float
    """[..., clip or 1, set] or [set], share of each set."""

    @classmethod
    def of(cls, task: Task, state: Int) -> "LabelShares":
        """The shares among clips of true states [clip]."""
        sets = np.bincount(task.state_set[state], minlength=task.n_sets) / max(len(state), 1)
        return cls(float(task.state_is_blend[state].mean()) if len(state) else 0.0, sets)


class Metric(Protocol):
    """One metric; instances hold no state. `accuracy.py` is the shortest example."""

    name: str
    """As `task.yaml`, `objective:` and JSON have it."""
    title: str
    """As a table's column has it."""

    def totals(self, task: Task, truth_state: Int, predicted_state: Int, member: Float) -> NDArray[np.float64]:
        """Sums over groups of clips.

        Args:
            task: whose states are meant.
            truth_state: [clip].
            predicted_state: [..., clip]; -1 is no answer, which is always wrong.
            member: [clip, group] 1 where the clip belongs to the group, else 0.

        Returns:
            [..., group, number]; which numbers is the metric's own business.
        """
        ...

    def value(self, totals: Float) -> NDArray[np.float64]:
        """[...] the metric of sums [..., number]; nan where it is not defined, e.g. without a clip."""
        ...

    def influence(self, task: Task, truth_state: Int, predicted_state: Int, totals: Float) -> NDArray[np.float64]:
        """[..., clip] what each clip adds to the value to first order, at sums [number]; sums to 0 over the clips that
        `totals` are of.

        Source: the delta method for functions of sums (Huber, Robust Statistics, 1981, ch. 1).
        """
        ...

    def clip_values(self, task: Task, truth_state: Int, predicted_state: Int) -> NDArray[np.float64]:
        """[..., clip] each clip's own part, whose mean over these clips is the metric."""
        ...

    def expected_gains(self, task: Task, probabilities: Float, shares: LabelShares) -> NDArray[np.float64]:
        """What each answer adds to the metric on average, up to a positive factor and a constant per clip.

        Args:
            task: whose states are meant.
            probabilities: [..., clip, state].
            shares: of the clips the distribution was fitted on.

        Returns:
            [..., clip, state]; the largest is the answer.
        """
        ...


def set_probabilities(task: Task, states: Float) -> Float:
    """[..., set] from a distribution over states [..., state].

    Examples:
        >>> task = Task("ab", ("a", "b"), pairs=((0, 1),), ratios_percent=(75, 25))
        >>> set_probabilities(task, np.array([0.5, 0.0, 0.25, 0.25])).tolist()
        [0.5, 0.0, 0.5]
    """
    pairs = states[..., task.n_classes :].reshape(*states.shape[:-1], task.n_pairs, task.n_ratios).sum(-1)
    return np.concatenate([states[..., : task.n_classes], pairs], -1)


def totals_of(metric: Metric, task: Task, truth_state: Int, predicted_state: Int) -> NDArray[np.float64]:
    """[..., number] a metric's sums over all clips.

    Examples:
        >>> from rfe.metrics.accuracy import Accuracy
        >>> totals_of(Accuracy(), Task("ab", ("a", "b")), np.array([0, 1]), np.array([0, 0])).tolist()  # right, all
        [1.0, 2.0]
    """
    return metric.totals(task, truth_state, predicted_state, np.ones((len(truth_state), 1)))[..., 0, :]


def divide(numerator: NDArray[Any] | float, denominator: NDArray[Any] | float) -> NDArray[np.float64]:
    """The ratio; nan where the denominator is 0: not measured, which is not 0.

    Examples:
        >>> divide(np.array([1, 0]), np.array([2, 0])).tolist()
        [0.5, nan]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.asarray(numerator, np.float64) / np.asarray(denominator, np.float64)
    return np.where(np.isfinite(ratio), ratio, np.nan)
