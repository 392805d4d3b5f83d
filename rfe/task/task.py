"""One classification task: classes, blends of two of them, and the salience grid of a blend.

A clip's **set** is which classes are present: one class, or one of the task's pairs. Its **state** adds the salience of
a blend. Sets are ordered singles, pairs; states are ordered singles, then each pair at each ratio. Percentages
exist in files only; everything in memory is a fraction in [0, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.errors import ConfigError, gather
from rfe.metric_names import METRICS

MOST_CLASSES = 64
MOST_RATIOS = 9
SALIENCE_METRICS = ("blemore", "salience_mae")
"""Those that compare the saliences of blends."""
SUBMISSIONS = ("blemore", "csv")
"""Forms in which answers are handed in; see `rfe.submission`."""


@dataclass(frozen=True)
class Task:
    """A label space and its metric; immutable, hashable, and equal where all of it is equal.

    Raises:
        ConfigError: everything about it that is impossible, in one message.

    Examples:
        >>> task = Task("valence", ("neg", "pos"), pairs=((0, 1),), ratios_percent=(75, 25))
        >>> task.n_sets, task.n_states
        (3, 4)
        >>> task.state_name(2)
        'neg 75 + pos 25'
    """

    name: str
    classes: tuple[str, ...]
    """[class] codes, as files have them, in the order of every logit."""
    class_names: tuple[str, ...] = ()
    """[class] names for people; empty: the codes."""
    pairs: tuple[tuple[int, int], ...] = ()
    """[pair] the two classes of each blend that occurs, the lower index first."""
    ratios_percent: tuple[int, ...] = ()
    """[ratio] salience of a pair's first class, descending and symmetric about 50; empty: a blend has no ratio."""
    alone: tuple[bool, ...] = ()
    """[class] whether a clip may show the class by itself; empty: every class may."""
    metric: str = "accuracy"
    """What is optimised, reported as Score, and decoded for; one of `METRICS`."""
    submission: str = "csv"
    """The form of a submission; one of `SUBMISSIONS`."""

    def __post_init__(self) -> None:
        # the defaults are written out, so that equal tasks compare equal
        object.__setattr__(self, "class_names", self.class_names or self.classes)
        object.__setattr__(self, "alone", self.alone or (True,) * len(self.classes))
        gather(_problems(self), ConfigError, f"task {self.name!r}")

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def n_pairs(self) -> int:
        return len(self.pairs)

    @property
    def n_ratios(self) -> int:
        """States of a pair: 1 where its ratio is not asked."""
        return max(1, len(self.ratios_percent))

    @property
    def n_sets(self) -> int:
        return self.n_classes + self.n_pairs

    @property
    def n_states(self) -> int:
        return self.n_classes + self.n_pairs * self.n_ratios

    @property
    def has_ratios(self) -> bool:
        """Whether a blend's ratio is a question at all: there are pairs, with more than one ratio."""
        return bool(self.pairs) and self.n_ratios > 1

    @property
    def has_both_sizes(self) -> bool:
        """Whether one class or two is a question: there are pairs, and classes that occur alone."""
        return bool(self.pairs) and any(self.alone)

    @property
    def scores_saliences(self) -> bool:
        """Whether the metric compares saliences, and so is not defined without a clip that is a blend."""
        return self.metric in SALIENCE_METRICS

    @cached_property
    def ratios(self) -> tuple[float, ...]:
        """[ratio] salience of a pair's first class as a fraction; (0.5,) where the ratio is not asked."""
        return tuple(percent / 100 for percent in self.ratios_percent) or (0.5,)

    @cached_property
    def sets(self) -> tuple[tuple[int, ...], ...]:
        """[set] its classes."""
        return (*((index,) for index in range(self.n_classes)), *self.pairs)

    @cached_property
    def set_members(self) -> NDArray[np.float32]:
        """[set, class] 1 where the class is present."""
        members = np.zeros((self.n_sets, self.n_classes), np.float32)
        for index, classes in enumerate(self.sets):
            members[index, list(classes)] = 1.0
        return _frozen(members)

    @cached_property
    def set_possible(self) -> NDArray[np.bool_]:
        """[set] whether a clip can show it; False for a class that never occurs alone."""
        return _frozen(np.array([*self.alone, *(True for _ in self.pairs)]))

    @cached_property
    def state_possible(self) -> NDArray[np.bool_]:
        """[state] `set_possible` of the state's set."""
        return _frozen(self.set_possible[self.state_set])

    @cached_property
    def state_set(self) -> NDArray[np.int64]:
        """[state] index of the state's set."""
        pairs = np.repeat(np.arange(self.n_classes, self.n_sets), self.n_ratios)
        return _frozen(np.concatenate([np.arange(self.n_classes), pairs]).astype(np.int64))

    @cached_property
    def state_salience(self) -> NDArray[np.float32]:
        """[state, class] the soft label: 1 for a single, the two fractions for a blend; rows sum to 1."""
        salience = np.zeros((self.n_states, self.n_classes), np.float32)
        salience[: self.n_classes] = np.eye(self.n_classes, dtype=np.float32)
        for pair, (first, second) in enumerate(self.pairs):
            for ratio, fraction in enumerate(self.ratios):
                state = self.n_classes + self.n_ratios * pair + ratio
                salience[state, first] = fraction
                salience[state, second] = 1.0 - fraction
        return _frozen(salience)

    @cached_property
    def state_is_blend(self) -> NDArray[np.bool_]:
        """[state]"""
        return _frozen(np.arange(self.n_states) >= self.n_classes)

    @cached_property
    def set_names(self) -> tuple[str, ...]:
        """[set] codes joined by `+`."""
        return tuple("+".join(self.classes[index] for index in members) for members in self.sets)

    @cached_property
    def pair_set(self) -> NDArray[np.int64]:
        """[class, class] index of the pair's set in either order; -1 where the two never blend."""
        table = np.full((self.n_classes, self.n_classes), -1, np.int64)
        for pair, (first, second) in enumerate(self.pairs):
            table[first, second] = table[second, first] = self.n_classes + pair
        return _frozen(table)

    def state_index(self, saliences_percent: Mapping[str, float]) -> int:
        """The state that a file's answer names.

        Args:
            saliences_percent: class code -> percent; one entry, or two whose percents are a ratio of the task, in any
                order. A single's percent must be 100. Where the task asks no ratio, a blend's percents are not read.

        Raises:
            ValueError: with a sentence that says what is wrong and what the task allows.
        """
        for code in saliences_percent:
            if code not in self.classes:
                raise ValueError(f"unknown class {code!r}; this task has {', '.join(self.classes)}")
        if len(saliences_percent) == 1:
            ((code, percent),) = saliences_percent.items()
            if not abs(percent - 100) <= 0.5:  # written so that NaN is refused too
                raise ValueError(f"a single class has salience 100 (percent), but {code} has {percent:g}")
            index = self.classes.index(code)
            if not self.alone[index]:
                raise ValueError(f"{code} never occurs alone in this task; name the class that it blends with")
            return index
        if len(saliences_percent) != 2:
            raise ValueError(f"a clip shows one or two classes, not {len(saliences_percent)}")
        (first, percent), (second, other) = sorted(
            saliences_percent.items(), key=lambda item: self.classes.index(item[0])
        )
        pair = (self.classes.index(first), self.classes.index(second))
        if pair not in self.pairs:
            raise ValueError(self._no_pair(first, second))
        start = self.n_classes + self.n_ratios * self.pairs.index(pair)
        if not self.ratios_percent:
            return start
        if not abs(percent + other - 100) <= 0.5:
            raise ValueError(f"saliences must sum to 100 (percent), but {percent:g} + {other:g} = {percent + other:g}")
        if round(percent) not in self.ratios_percent:
            raise ValueError(f"saliences of a blend are {self.ratio_list}, not {percent:g}/{other:g}")
        return start + self.ratios_percent.index(round(percent))

    def state_percents(self, state: int) -> dict[str, int]:
        """The inverse of `state_index`: class code -> whole percent, e.g. `{"ang": 70, "disg": 30}`."""
        members = self.sets[self.state_set[state]]
        return {self.classes[index]: round(100 * float(self.state_salience[state, index])) for index in members}

    def state_name(self, state: int) -> str:
        """A short name for tables: `"hap"`, `"ang 70 + disg 30"`, or `"ang + disg"` where no ratio is asked."""
        percents = self.state_percents(state)
        if len(percents) == 1 or not self.ratios_percent:
            return " + ".join(percents)
        return " + ".join(f"{code} {percent}" for code, percent in percents.items())

    @cached_property
    def ratio_list(self) -> str:
        """The ratios for a message: `70/30, 50/50 or 30/70`."""
        *others, last = [f"{percent}/{100 - percent}" for percent in self.ratios_percent or (50,)]
        return f"{', '.join(others)} or {last}" if others else last

    def _no_pair(self, first: str, second: str) -> str:
        """Why two classes do not blend."""
        if not self.pairs:
            return f"this task has no blends, so {first} and {second} cannot be shown at once"
        blending = {index for pair in self.pairs for index in pair}
        for code in (first, second):
            if self.classes.index(code) not in blending:
                return f"{self.class_names[self.classes.index(code)]} never blends with another class"
        return f"{first} and {second} are not one of this task's {self.n_pairs} pairs"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, as in `task.yaml`: codes for indices, every default written out."""
        return {
            "name": self.name,
            "classes": dict(zip(self.classes, self.class_names, strict=True)),
            "blends": [[self.classes[index] for index in pair] for pair in self.pairs],
            "alone": [code for code, alone in zip(self.classes, self.alone, strict=True) if alone],
            "ratios": list(self.ratios_percent),
            "metric": self.metric,
            "submission": self.submission,
        }


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The array, read-only: it is shared by everything that has the task."""
    array.flags.writeable = False
    return array


def _problems(task: Task) -> list[str]:
    """A sentence on each impossible thing."""
    problems = []
    n, codes = len(task.classes), task.classes
    if not 2 <= n <= MOST_CLASSES:
        problems.append(f"classes: there are {n}; a task has 2 to {MOST_CLASSES}")
    for code in dict.fromkeys(code for code in codes if codes.count(code) > 1):
        problems.append(f"classes: {code!r} occurs more than once; codes must differ")
    for code in codes:
        if not code or code != code.strip() or any(mark in code for mark in "+,;/\"'\n\t"):
            problems.append(f"classes: {code!r} cannot be a code; use letters, digits, _ and -")
    if len(task.class_names) != n or len(task.alone) != n:
        problems.append(f"class_names and alone have one entry for each of the {n} classes")
        return problems
    for pair in task.pairs:
        if len(pair) != 2 or not (0 <= pair[0] < pair[1] < n):
            problems.append(f"pairs: {pair} is not two different classes, the lower index first")
    if len(set(task.pairs)) < len(task.pairs):
        problems.append("pairs: one occurs more than once")
    blending = {index for pair in task.pairs for index in pair}
    for index in range(n):
        if not task.alone[index] and index not in blending:
            problems.append(f"classes: {codes[index]!r} neither occurs alone nor blends; leave it out")
    problems += _ratio_problems(task)
    if task.metric not in METRICS:
        problems.append(f"metric: {task.metric!r} is unknown; use {', '.join(METRICS)}")
    elif task.metric in SALIENCE_METRICS and not task.has_ratios:
        problems.append(
            f"metric: {task.metric} scores saliences, but this task has no blends with two or more ratios; "
            "use accuracy or macro_f1"
        )
    if task.submission not in SUBMISSIONS:
        problems.append(f"submission: {task.submission!r} is unknown; use {' or '.join(SUBMISSIONS)}")
    return problems


def _ratio_problems(task: Task) -> list[str]:
    ratios = task.ratios_percent
    problems = []
    if len(ratios) > MOST_RATIOS:
        problems.append(f"ratios: there are {len(ratios)}; a task has at most {MOST_RATIOS}")
    outside = [ratio for ratio in ratios if not 0 < ratio < 100]
    if outside:
        problems.append(f"ratios: {outside[0]} is not a percentage between 0 and 100")
    elif list(ratios) != sorted(set(ratios), reverse=True):
        problems.append("ratios: list each once, the largest share of the first class first, e.g. [70, 50, 30]")
    elif tuple(100 - ratio for ratio in reversed(ratios)) != ratios:
        missing = next(100 - ratio for ratio in ratios if 100 - ratio not in ratios)
        problems.append(f"ratios: {100 - missing} is there and {missing} is not; a pair can lean either way, so add it")
    if ratios and not task.pairs:
        problems.append("ratios: there are no blends that could have one; leave ratios out, or name blends")
    return problems
