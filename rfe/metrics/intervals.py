"""Intervals of a metric and of a difference of two, from the influence of each clip.

Clips of one actor are alike, training is random, and the same folds serve every arm. So the variance has an actor
part and a seed part within fold, and clips are never resampled. Influence of seed s on actor a:

    psi_sa = sum_{i in a} psi_is

where psi_is is what clip i's answer under seed s adds to the metric to first order (`Metric.influence`), e.g. for Score
1/2 (h^P_is - P) / N, plus 1/2 (h^S_is - S) / N_b on blends.

    V = V_actor + max(0, V_seed - V_resid)
    V_actor = A / (A - 1) sum_a mean_s(psi_sa)^2
    V_seed  = sum_k A_k^2 / m var_s(mean_{a in k} psi_sa)
    V_resid = sum_k A_k / m MS_resid,k                       (fold k has A_k actors; m seeds)

and the interval is t with min(A - 1, K (m - 1)) degrees of freedom. For a paired difference psi is the difference of
the arms' influences. A metric lies between 0 and 1, so an end of its interval beyond them is put there; the truth is
never cut off, and coverage stays as it is. The interval takes the training sets as given. Equations ours, checked by
simulation in the tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from rfe.metrics.choice import score_parts
from rfe.metrics.metric import Metric, totals_of
from rfe.task import Task

Float = NDArray[np.floating[Any]]
Int = NDArray[np.integer[Any]]
TOO_NARROW = "too narrow: clips of one actor are alike"
ONE_ANSWER = (
    "one set of answers (of one seed, or of an average): the interval covers which actors were drawn, not the "
    "randomness of training"
)
NO_TEST = f"{ONE_ANSWER}, and there is no p-value"
FEWEST_ACTORS = 10
FEW_ACTORS = f"fewer than {FEWEST_ACTORS} actors: intervals over them are themselves uncertain"


@dataclass(frozen=True)
class InfluenceTable:
    """An arm's metrics with the influence of each clip on them, on the same clips with several seeds.

    All that intervals need is linear in it, so tables can be subtracted and averaged.
    """

    estimates: Mapping[str, float]
    """Part (`score`, `acc_presence`, ...) -> value of the sums, averaged over seeds; nan where it is not defined."""
    influences: Mapping[str, Float]
    """Part -> [seed, clip]"""
    actor: Int
    """[clip] -1 unknown"""
    fold: Int
    """[clip]"""

    @property
    def n_seeds(self) -> int:
        return len(next(iter(self.influences.values())))

    @classmethod
    def of_answers(
        cls,
        task: Task,
        truth_state: Int,
        predicted_state: Int,
        actor: Int | None = None,
        fold: Int | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> "InfluenceTable":
        """The table of answers.

        Args:
            task: whose metrics they are.
            truth_state: [clip].
            predicted_state: [seed, clip] or [clip]; a 1-D array is one seed.
            actor: [clip]; None or -1: unknown.
            fold: [clip]; None: one fold.
            metrics: which, by part; default `score_parts`.
        """
        predicted_state = np.atleast_2d(predicted_state)
        estimates, influences = {}, {}
        for part, metric in (score_parts(task) if metrics is None else metrics).items():
            totals = totals_of(metric, task, truth_state, predicted_state).mean(0)
            estimates[part] = float(metric.value(totals))
            influences[part] = metric.influence(task, truth_state, predicted_state, totals)
        return cls(estimates, influences, *_groups(len(truth_state), actor, fold))

    @classmethod
    def of_hits(cls, part: str, hits: Float, actor: Int | None = None, fold: Int | None = None) -> "InfluenceTable":
        """The table of a mean of hits [seed, clip], e.g. of a recall."""
        n_clips = hits.shape[1]
        estimate = float(hits.mean()) if n_clips else float("nan")
        return cls({part: estimate}, {part: (hits - estimate) / max(n_clips, 1)}, *_groups(n_clips, actor, fold))

    def minus(self, base: "InfluenceTable") -> "InfluenceTable":
        """The table of paired differences, arm minus base.

        Raises:
            ValueError: the two were not measured on the same clips with equally many seeds.
        """
        shapes = [next(iter(one.influences.values())).shape for one in (self, base)]
        if (
            shapes[0] != shapes[1]
            or not np.array_equal(self.actor, base.actor)
            or not np.array_equal(self.fold, base.fold)
        ):
            raise ValueError(
                "a paired difference needs both arms on the same clips with equally many seeds, "
                f"but got {shapes[0]} and {shapes[1]} (seeds, clips)"
            )
        return InfluenceTable(
            {part: one - base.estimates[part] for part, one in self.estimates.items()},
            {part: one - base.influences[part] for part, one in self.influences.items()},
            self.actor,
            self.fold,
        )

    def mean_over_seeds(self) -> "InfluenceTable":
        """The same as one seed."""
        averaged = {part: one.mean(0, keepdims=True) for part, one in self.influences.items()}
        return InfluenceTable(self.estimates, averaged, self.actor, self.fold)

    @classmethod
    def mean_of(cls, tables: Sequence["InfluenceTable"]) -> "InfluenceTable":
        """The mean of tables on the same clips and seeds, e.g. of several permutations of an encoder."""
        first = tables[0]
        return cls(
            {part: float(np.mean([one.estimates[part] for one in tables])) for part in first.estimates},
            {part: np.mean([one.influences[part] for one in tables], axis=0) for part in first.influences},
            first.actor,
            first.fold,
        )


def _groups(n_clips: int, actor: Int | None, fold: Int | None) -> tuple[Int, Int]:
    return (
        np.full(n_clips, -1) if actor is None else actor,
        np.zeros(n_clips, np.int64) if fold is None else fold,
    )


@dataclass(frozen=True)
class Interval:
    """An estimate and how sure it is.

    Examples:
        >>> interval = Interval(0.5, 0.1, degrees_of_freedom=10, paired=False, n_seeds=1, n_actors=11)
        >>> [round(end, 3) for end in interval.bounds(0.95)]
        [0.277, 0.723]
    """

    estimate: float
    standard_error: float
    degrees_of_freedom: float
    paired: bool
    """A difference of two arms (then 0 means no difference), not a score."""
    n_seeds: int
    n_actors: int
    """Actors, or clips where actors are unknown."""
    notes: tuple[str, ...] = ()
    """What a reader must know: shown wherever the interval is."""

    def bounds(self, level: float = 0.95) -> tuple[float, float]:
        """Lower and upper end of the interval at a confidence level; of a score within [0, 1]."""
        reach = self._quantile(0.5 + level / 2) * self.standard_error
        low, high = self.estimate - reach, self.estimate + reach
        return (low, high) if self.paired else (float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1)))

    @property
    def p_value(self) -> float | None:
        """Two-sided, of no difference; None for a score, and with one seed."""
        if not self.paired or self.n_seeds < 2:
            return None
        if self.standard_error == 0:
            return float(self.estimate == 0)
        return 2.0 * float(stdtr(self.degrees_of_freedom, -abs(self.estimate) / self.standard_error))

    @property
    def probability_better(self) -> float | None:
        """P(t > -d / sqrt V): "probability that the arm is better"; None where there is no p-value."""
        if self.p_value is None:
            return None
        if self.standard_error == 0:
            return 0.5 + 0.5 * float(np.sign(self.estimate))
        return float(stdtr(self.degrees_of_freedom, self.estimate / self.standard_error))

    @property
    def smallest_detectable(self) -> float:
        """The difference that a test at 5% finds four times in five, at this standard error."""
        return (self._quantile(0.975) + self._quantile(0.8)) * self.standard_error

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with the ends of the 95% interval as `low` and `high`; null where something was not measured. Of
        a difference also its p-value, the probability that it is above 0, and the smallest that would be found."""
        low, high = self.bounds()
        numbers: dict[str, Any] = {"estimate": self.estimate, "low": low, "high": high}
        if self.paired:
            names = ("p_value", "probability_better", "smallest_detectable")
            numbers |= {name: getattr(self, name) for name in names}
        plain = {**asdict(self), **numbers, "notes": list(self.notes)}
        return {name: None if isinstance(one, float) and not np.isfinite(one) else one for name, one in plain.items()}

    def _quantile(self, share: float) -> float:
        return float(stdtrit(self.degrees_of_freedom, share))


def score_interval(table: InfluenceTable, part: str = "score") -> Interval:
    """Interval of one arm's score or part of it; the estimate is of the sums averaged over seeds.

    Examples:
        >>> from rfe.task import Task
        >>> truth, answers, actor = np.array([0, 1, 0, 1]), np.array([[0, 1, 0, 0]]), np.array([0, 0, 1, 1])
        >>> table = InfluenceTable.of_answers(Task("ab", ("a", "b")), truth, answers, actor)
        >>> interval = score_interval(table)
        >>> interval.estimate, interval.n_actors
        (0.75, 2)
    """
    return _interval(table, part, paired=False)


def difference_interval(arm: InfluenceTable, base: InfluenceTable, part: str = "score") -> Interval:
    """Interval of the difference arm minus base, paired by clip and seed.

    Raises:
        ValueError: the arms do not stand on the same clips and number of seeds.
    """
    return _interval(arm.minus(base), part, paired=True)


def _interval(table: InfluenceTable, part: str, *, paired: bool) -> Interval:
    """Estimate and variance of a table; see the module's equations."""
    estimate = table.estimates.get(part, float("nan"))
    each = table.influences.get(part, next(iter(table.influences.values())))
    n_seeds, n_clips = each.shape
    if not np.isfinite(estimate):
        nan = float("nan")
        return Interval(nan, nan, nan, paired, n_seeds, 0, (f"not measured: {_unmeasured(table, part)}",))
    known = table.actor >= 0
    _, actor = np.unique(np.where(known, table.actor, -1 - np.arange(n_clips)), return_inverse=True)
    n_actors = int(actor.max()) + 1
    cell = np.arange(n_seeds)[:, None] * n_actors + actor
    influence: Float = np.bincount(cell.ravel(), each.ravel(), n_seeds * n_actors).astype(np.float64)
    influence = influence.reshape(n_seeds, n_actors)
    _, fold = np.unique(table.fold, return_inverse=True)
    fold_of_actor = np.zeros(n_actors, np.int64)
    fold_of_actor[actor] = fold
    degrees = min(n_actors - 1, (int(fold.max()) + 1) * (n_seeds - 1)) if n_seeds > 1 else n_actors - 1
    notes = _notes(n_seeds, n_actors, paired=paired, actors_known=bool(known.all()))
    if degrees < 1:
        notes = (*notes, "one actor: no variance between actors can be seen")
        return Interval(estimate, float("nan"), float("nan"), paired, n_seeds, n_actors, notes)
    variance = variance_of_influence(influence, fold_of_actor)
    return Interval(estimate, float(np.sqrt(variance)), float(degrees), paired, n_seeds, n_actors, notes)


def _unmeasured(table: InfluenceTable, part: str) -> str:
    """Why a part has no value."""
    if part not in table.estimates:
        return "this task asks no ratio"
    return "no clip is a true blend" if len(table.actor) else "there is no clip"


def _notes(n_seeds: int, n_actors: int, *, paired: bool, actors_known: bool) -> tuple[str, ...]:
    """What the numbers behind an interval say against it."""
    notes = [NO_TEST if paired else ONE_ANSWER] if n_seeds == 1 else []
    if not actors_known:
        notes.append(TOO_NARROW)
    elif 1 < n_actors < FEWEST_ACTORS:
        notes.append(FEW_ACTORS)
    return tuple(notes)


def variance_of_influence(influence: Float, fold: Int) -> float:
    """V = V_actor + max(0, V_seed - V_resid).

    Args:
        influence: [seed, actor] psi, at least two actors.
        fold: [actor].
    """
    n_seeds, n_actors = influence.shape
    by_actor = influence.mean(0)
    of_actors = float(n_actors / (n_actors - 1) * (by_actor**2).sum())
    if n_seeds == 1:
        return of_actors
    of_seeds, of_residual = 0.0, 0.0
    for k in np.unique(fold):
        inside = influence[:, fold == k]  # [seed, actor of k]
        size = inside.shape[1]
        by_seed = inside.mean(1)
        of_seeds += size**2 / n_seeds * float(by_seed.var(ddof=1))
        if size > 1:
            residual = inside - by_seed[:, None] - inside.mean(0) + inside.mean()
            mean_square = float((residual**2).sum()) / ((size - 1) * (n_seeds - 1))
            of_residual += size / n_seeds * mean_square
    return of_actors + max(0.0, of_seeds - of_residual)
