"""Each clip's three possible answers and the two numbers that decide between them.

What `official` and `decoupled` decoding have in common: a clip is a single, an even blend or a blend that leans to one
class; its `strength` says how much it looks like a blend, its `unevenness` how far it is from 50/50.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float, Int
from rfe.errors import ConfigError
from rfe.task import Task

States = NDArray[np.signedinteger[Any]]


def fits_thresholds(task: Task) -> bool:
    """Whether two thresholds can tell the task's answers apart: they know 50/50 and one leaning ratio each way.

    Examples:
        >>> fits_thresholds(Task("ab", ("a", "b"), pairs=((0, 1),), ratios_percent=(75, 25)))  # no 50/50
        False
    """
    return not task.has_ratios or task.n_ratios == 3  # three that are symmetric have 50 in their middle


def check_ratios(task: Task, setting: str, remedy: str) -> None:
    """Refuse thresholds where they do not fit the task.

    Args:
        task: the task.
        setting: what asks for thresholds, e.g. `decode.kind: official`.
        remedy: what to do instead.

    Raises:
        ConfigError: not `fits_thresholds`.
    """
    if not fits_thresholds(task):
        raise ConfigError(
            f"{setting}: decodes blends by two thresholds, so it needs the ratios 50/50 and one other pair such as "
            f"70/30 and 30/70, but task {task.name!r} has {task.ratio_list}; {remedy}"
        )


class PairStates:
    """A task's blends as thresholds answer them: even, or leaning to one of the two classes.

    Args:
        task: one that `check_ratios` lets pass.
    """

    def __init__(self, task: Task) -> None:
        n = task.n_classes
        self.n_classes = n
        self.state_type = np.min_scalar_type(-task.n_states)
        """The smallest integers that hold every state and -1; small ones are faster."""
        self._index_type = np.min_scalar_type(-n * n)
        even, leaning = (np.full((n, n), -1, self.state_type) for _ in range(2))
        if task.n_pairs:
            first, second = np.array(task.pairs).T
            start = n + task.n_ratios * np.arange(task.n_pairs)
            even[first, second] = even[second, first] = start + task.n_ratios // 2
            leaning[first, second], leaning[second, first] = start, start + task.n_ratios - 1
        self._even, self._leaning = even.ravel(), leaning.ravel()
        self.set = task.state_set.astype(self.state_type)
        """[state]"""
        self.is_blend = task.state_is_blend
        """[state]"""
        self._alone = None if all(task.alone) else np.array(task.alone)
        self._blends = task.pair_set >= 0  # [class, class]

    def of(self, larger: Int, other: Int) -> tuple[States, States]:
        """[..., clip] the even and the leaning blend of two classes; -1 where they never blend."""
        index = larger.astype(self._index_type) * self._index_type.type(self.n_classes) + other.astype(self._index_type)
        return self._even[index], self._leaning[index]

    def second(self, values: Float, first: Int, second: Int, next_largest: Float) -> tuple[Int, Float, Float]:
        """The class that each clip's first one may blend with, and how much that looks like a blend.

        It is the second largest. But where the first class never occurs alone, a blend is the only answer: with the
        largest class that it blends with, whatever the threshold.

        Args:
            values: [..., clip, class]
            first, second, next_largest: [..., clip] of `two_largest`.

        Returns:
            The class, its value and the strength, each [..., clip].
        """
        if self._alone is None:
            return second, next_largest, next_largest
        alone = self._alone[first]
        partner = np.where(self._blends[first], values, -np.inf).argmax(-1)
        of_partner = np.take_along_axis(values, partner[..., None], -1)[..., 0]
        certain = next_largest.dtype.type(1.0)  # no threshold lies above
        return (
            np.where(alone, second, partner.astype(second.dtype)),
            np.where(alone, next_largest, of_partner),
            np.where(alone, next_largest, certain),
        )


@dataclass(frozen=True)
class Candidates:
    """Per clip, all [..., clip]. A state is -1 where there is none: classes that never blend, an output not finite."""

    single: States
    even: States
    leaning: States
    strength: Float
    """-inf where the clip cannot be a blend."""
    unevenness: Float
    pairs: PairStates

    @classmethod
    def of_pairs(
        cls,
        pairs: PairStates,
        first: Int,
        second: Int,
        larger: Int,
        strength: Float,
        unevenness: Float,
        finite: NDArray[np.bool_],
    ) -> "Candidates":
        """Candidates from each clip's two classes.

        Args:
            pairs: of the task.
            first: [..., clip] the class answered alone.
            second: [..., clip] the other class of a blend.
            larger: [..., clip] the one of the two that a leaning blend leans to.
            strength, unevenness: [..., clip].
            finite: [..., clip] False where there is to be no answer at all.
        """
        even, leaning = pairs.of(larger, first + second - larger)
        single = first.astype(pairs.state_type)
        strength = np.where(even >= 0, strength, strength.dtype.type(-np.inf))
        if not finite.all():
            none = pairs.state_type.type(-1)
            single, even, leaning = (np.where(finite, states, none) for states in (single, even, leaning))
            strength = np.where(finite, strength, strength.dtype.type(-np.inf))
        return cls(single, even, leaning, strength, unevenness, pairs)

    def answer(self, blend: Float, even: Float) -> States:
        """States for thresholds that broadcast against [..., clip]."""
        pair = np.where(self.unevenness <= even, self.even, self.leaning)
        return np.where(self.strength >= blend, pair, self.single)

    def replica(self, index: int) -> "Candidates":
        """Those of one replica, [clip]."""
        return self._part(np.s_[index])

    def clips(self, chosen: NDArray[np.bool_]) -> "Candidates":
        """Those of the chosen clips [clip]."""
        return self._part(np.s_[..., chosen])

    def _part(self, index: Any) -> "Candidates":
        single, even, leaning = self.single[index], self.even[index], self.leaning[index]
        return Candidates(single, even, leaning, self.strength[index], self.unevenness[index], self.pairs)

    def hits(self, truth_state: Int) -> "Hits":
        """What each answer would be worth, given the true states [clip]."""
        truth = truth_state.astype(self.pairs.state_type)
        truth_set = self.pairs.set[truth]
        single = self.single == truth_set  # a single's state is its set
        pair = (self.pairs.set[self.even] == truth_set) & (self.even >= 0)
        possible = self.strength > -np.inf
        return Hits(
            single,
            np.where(possible, pair.view(np.int8) - single.view(np.int8), np.int8(0)),
            (self.even == truth).view(np.int8) - (pair & (self.leaning == truth)).view(np.int8),
            self.pairs.is_blend[truth],
        )


@dataclass(frozen=True)
class Hits:
    """What the answers are worth."""

    single: NDArray[np.bool_]
    """[..., clip] the single is right."""
    pair_gain: NDArray[np.int8]
    """[..., clip] presence hits won (1) or lost (-1) by answering a blend instead of the single."""
    even_gain: NDArray[np.int8]
    """[..., clip] 1 where 50/50 is the true state, -1 where the leaning blend is, 0 elsewhere."""
    blend: NDArray[np.bool_]
    """[clip] the truth is a blend."""


def group_by_folds(membership: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Clips that belong to the same folds, as one group each.

    Args:
        membership: [fold, clip].

    Returns:
        group of each clip [clip], and [fold, group] 1 where the fold holds the group.

    Examples:
        >>> group, fold_of_group = group_by_folds(np.array([[True, True, False], [False, False, True]]))
        >>> group.tolist(), fold_of_group.tolist()
        ([1, 1, 0], [[0.0, 1.0], [1.0, 0.0]])
    """
    code = np.zeros(membership.shape[1], np.int64)
    for row in membership:  # relabelling at each fold keeps codes small for any number of folds
        _, code = np.unique(2 * code + row, return_inverse=True)
    _, first = np.unique(code, return_index=True)
    return code, membership[:, first].astype(np.float64)
