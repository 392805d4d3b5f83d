"""Intervals of a Score and of a difference of two, from tables of hits.

Clips of one actor are alike, training is random, and the same folds serve every arm. So the variance has an actor
part and a seed part within fold, and clips are never resampled. Influence of seed s on actor a:

    psi_sa = 1/2 sum_{i in a} (h^P_is - P) / N + 1/2 sum_{i in a, blend} (h^S_is - S) / N_b

    V = V_actor + max(0, V_seed - V_resid)
    V_actor = A / (A - 1) sum_a mean_s(psi_sa)^2
    V_seed  = sum_k A_k^2 / m var_s(mean_{a in k} psi_sa)
    V_resid = sum_k A_k / m MS_resid,k                       (fold k has A_k actors; m seeds)

and the interval is t with min(A - 1, K (m - 1)) degrees of freedom. For a paired difference h is the difference of the
arms' hits. A score is a share, so an end of its interval beyond 0 or 1 is put there; the truth is never cut off, and
coverage stays as it is. The interval takes the training sets as given. Equations ours, checked by simulation in the
tests.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from rfe.labels import STATE_IS_BLEND
from rfe.metrics.presence import presence_hits
from rfe.metrics.salience import salience_hits

Float = NDArray[np.floating[Any]]
Int = NDArray[np.integer[Any]]
Part = Literal["score", "acc_presence", "acc_salience"]
WEIGHTS: dict[Part, tuple[float, float]] = {"score": (0.5, 0.5), "acc_presence": (1.0, 0.0), "acc_salience": (0.0, 1.0)}

TOO_NARROW = "too narrow: clips of one actor are alike"
ONE_ANSWER = (
    "one set of answers (of one seed, or of an average): the interval covers which actors were drawn, not the "
    "randomness of training"
)
NO_TEST = f"{ONE_ANSWER}, and there is no p-value"
FEWEST_ACTORS = 10
FEW_ACTORS = f"fewer than {FEWEST_ACTORS} actors: intervals over them are themselves uncertain"


@dataclass(frozen=True)
class HitTable:
    """Hits of one arm on the same clips with several seeds; a 1-D table of hits is one seed."""

    presence: Float
    """[seed, clip]"""
    salience: Float
    """[seed, clip], 0 where the truth is a single"""
    blend: NDArray[np.bool_]
    """[clip] the truth is a blend"""
    actor: Int
    """[clip] -1 unknown"""
    fold: Int
    """[clip]"""

    @classmethod
    def of_answers(
        cls, truth_state: Int, predicted_state: Int, actor: Int | None = None, fold: Int | None = None
    ) -> "HitTable":
        """Hits of answers.

        Args:
            truth_state: [clip].
            predicted_state: [seed, clip] or [clip].
            actor: [clip]; None or -1: unknown.
            fold: [clip]; None: one fold.
        """
        predicted_state = np.atleast_2d(predicted_state)
        n_clips = len(truth_state)
        return cls(
            presence_hits(truth_state, predicted_state).astype(np.float64),
            salience_hits(truth_state, predicted_state).astype(np.float64),
            STATE_IS_BLEND[truth_state],
            np.full(n_clips, -1) if actor is None else actor,
            np.zeros(n_clips, np.int64) if fold is None else fold,
        )

    def minus(self, base: "HitTable") -> "HitTable":
        """The table of paired differences, arm minus base.

        Raises:
            ValueError: the two were not measured on the same clips with equally many seeds.
        """
        same = (
            self.presence.shape == base.presence.shape
            and np.array_equal(self.blend, base.blend)
            and np.array_equal(self.actor, base.actor)
            and np.array_equal(self.fold, base.fold)
        )
        if not same:
            raise ValueError(
                "a paired difference needs both arms on the same clips with equally many seeds, "
                f"but got {self.presence.shape} and {base.presence.shape} (seeds, clips)"
            )
        return HitTable(self.presence - base.presence, self.salience - base.salience, self.blend, self.actor, self.fold)


@dataclass(frozen=True)
class Interval:
    """An estimate and how sure it is."""

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

    def _quantile(self, share: float) -> float:
        return float(stdtrit(self.degrees_of_freedom, share))


def score_interval(table: HitTable, part: Part = "score") -> Interval:
    """Interval of one arm's Score, ACC_presence or ACC_salience; the estimate is the mean over seeds."""
    return _interval(table, part, paired=False)


def difference_interval(arm: HitTable, base: HitTable, part: Part = "score") -> Interval:
    """Interval of the difference arm minus base, paired by clip and seed.

    Raises:
        ValueError: the arms do not stand on the same clips and number of seeds.
    """
    return _interval(arm.minus(base), part, paired=True)


def _interval(table: HitTable, part: Part, *, paired: bool) -> Interval:
    """Estimate and variance of a table; see the module's equations."""
    n_seeds, n_clips = table.presence.shape
    n_blends = int(table.blend.sum())
    of_presence, of_salience = WEIGHTS[part]
    if n_clips == 0 or (of_salience and n_blends == 0):
        missing = "a clip" if n_clips == 0 else "a true blend"
        nan = float("nan")
        return Interval(nan, nan, nan, paired, n_seeds, 0, (f"not measured: no clip is {missing}",))
    known = table.actor >= 0
    _, actor = np.unique(np.where(known, table.actor, -1 - np.arange(n_clips)), return_inverse=True)
    # [seed, clip] each clip's share of the estimate, and of the estimate's mean over seeds
    share = of_presence * table.presence / n_clips + of_salience * table.salience * table.blend / max(n_blends, 1)
    mean_presence = table.presence.sum() / (n_seeds * n_clips)
    mean_salience = (table.salience * table.blend).sum() / (n_seeds * max(n_blends, 1))
    expected = of_presence * mean_presence / n_clips + of_salience * mean_salience * table.blend / max(n_blends, 1)
    estimate = float(of_presence * mean_presence + of_salience * mean_salience)
    n_actors = int(actor.max()) + 1
    cell = np.arange(n_seeds)[:, None] * n_actors + actor
    influence: Float = np.bincount(cell.ravel(), (share - expected).ravel(), n_seeds * n_actors).astype(np.float64)
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
