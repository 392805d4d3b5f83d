"""Selects the members of the final predictor and their weights. The best single candidate is the ensemble of one.

Selection sees how probable the true states are, never Score itself: the one is smooth where the other jumps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from rfe.config.schema import LARGEST, LARGEST_SEED
from rfe.ensemble.calibrated import Decoding, FoldView
from rfe.ensemble.candidates import Candidate
from rfe.ensemble.mixing import split_probabilities
from rfe.ensemble.stacking import TINY, least_squares_weights, likeliest_weights
from rfe.errors import ConfigError, StudyError
from rfe.metrics.metric import set_probabilities
from rfe.suggestions import unknown
from rfe.task import Task

Method = Literal["greedy", "top_k", "nnls", "likelihood", "single"]
FEW = 20
"""Of fewer candidates than these every bag has all: half of them would often lack the best."""
_COUNTS = ("members", "candidates", "bags", "start")
LEAST_WEIGHT = 0.01
"""Members below it would cost a prediction as much as any other."""


@dataclass(frozen=True)
class Member:
    """A candidate and its share in the average."""

    candidate: Candidate
    weight: float
    """Of its distribution over sets."""
    ratio_weight: float
    """Of its distribution over the ratios within a pair; the same unless the heads are weighted apart."""


@dataclass(frozen=True)
class WeightedTrials:
    """Members whose weights sum to 1, and so do their ratio weights."""

    members: tuple[Member, ...]
    method: Method = "single"


@dataclass(frozen=True)
class Selection:
    """How members are chosen.

    Sources: `greedy`: Caruana et al., ICML 2004, forward selection with replacement from bags of candidates, begun with
    a few that differ. `nnls`: stacking by non-negative least squares of the out-of-fold probabilities on the truth's
    indicator (Breiman, Machine Learning 1996). `likelihood`: stacking by the mixture that makes the truth likeliest
    (Yao et al., Bayesian Analysis 2018).

    Examples:
        >>> Selection(method="top_k", members=5).members
        5
    """

    method: Method = "greedy"
    members: int = 20
    """`top_k`: how many share alike; `greedy`: steps of the forward selection."""
    candidates: int = 60
    """So many with the best Score on the clips that may be looked at are considered."""
    bags: int = 20
    """`greedy`: selections on random halves of the candidates, whose weights are averaged."""
    start: int = 5
    """`greedy`: each bag begins with so many of its likeliest candidates that differ."""
    separate_heads: bool = False
    """Weigh presence (the set) and salience (the ratio within a pair) apart."""
    seed: int = 0
    decoding: Decoding = "states"
    """How the average is answered, and by which Score candidates are ranked."""

    def __post_init__(self) -> None:
        for name, least, most in (*((one, 1, LARGEST) for one in _COUNTS), ("seed", 0, LARGEST_SEED)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
                raise ConfigError(f"ensemble: {name}: {value!r} is not a whole number from {least} to {most}")
        if self.decoding == "official" and self.separate_heads:
            raise ConfigError(
                "ensemble: official thresholds decode one average of fused probabilities, which has no separate heads; "
                "leave out --separate-heads or --decode official"
            )


@dataclass(frozen=True)
class Weights:
    """The chosen weights."""

    sets: NDArray[np.float64]
    """[candidate] sum to 1."""
    ratios: NDArray[np.float64]
    """[candidate] sum to 1."""
    trajectory: tuple[float, ...] = field(default=())
    """`greedy`: mean negative log-likelihood of the true state after each step, nats per clip, mean over bags."""


def find_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        ConfigError: not found; suggests the closest name.

    Examples:
        >>> find_method("nnls")
        'nnls'
    """
    return cast(Method, _known("method", "--method", name, get_args(Method)))


def find_decoding(name: str) -> Decoding:
    """The decoding called `name`.

    Raises:
        ConfigError: not found; suggests the closest name.

    Examples:
        >>> find_decoding("states")
        'states'
    """
    return cast(Decoding, _known("decoding", "--decode", name, get_args(Decoding)))


def _known(kind: str, option: str, name: str, names: tuple[str, ...]) -> str:
    if name not in names:
        raise ConfigError(f"{option}: {unknown(kind, name, names)}")
    return name


def select_single(candidates: Sequence[Candidate], number: int | None = None) -> WeightedTrials:
    """The ensemble of one.

    Args:
        candidates: finished trials of one study.
        number: the trial; None takes the best confirmed one, or, where none is confirmed, the one with the best score
            (the earlier of equals).

    Raises:
        StudyError: no trial is finished, or there is no finished trial of that number.
    """
    if not candidates:
        raise StudyError("the study has no finished trial, so there is nothing to export; resume it with `rfe search`")
    if number is None:
        best = max(candidates, key=lambda candidate: (candidate.rank_score, -candidate.number))
        return WeightedTrials((Member(best, 1.0, 1.0),))
    for candidate in candidates:
        if candidate.number == number:
            return WeightedTrials((Member(candidate, 1.0, 1.0),))
    numbers = [candidate.number for candidate in candidates]
    nearest = ", ".join(map(str, sorted(numbers, key=lambda other: abs(other - number))[:5]))
    raise StudyError(
        f"study {candidates[0].study!r}: trial {number} is not among its {len(numbers)} finished trials "
        f"(failed, pruned and repeated ones have no model of their own); finished ones near it: {nearest}"
    )


def select_weights(
    task: Task,
    view: FoldView,
    clips: NDArray[np.bool_],
    truth_state: NDArray[np.int64],
    how: Selection,
    where: NDArray[np.int64] | None = None,
    n: int | None = None,
) -> Weights:
    """Choose weights of the candidates by the clips that may be used.

    Args:
        task: the clips'; without ratios there is nothing that heads could be weighted apart by.
        view: of the candidates.
        clips: [clip] which may be looked at.
        truth_state: [clip]; read of those clips only.
        how: the method.
        where: [candidate of the view] its place among all `n`, which get a weight each. None: the view has all.
    """
    considered = np.argsort(-view.score, kind="stable")[: how.candidates]
    truth, apart = truth_state[clips], how.separate_heads and task.has_ratios
    if how.method == "nnls":
        of_sets, of_ratios = _least_squares(task, view, considered, clips, truth, apart)
        trajectory: tuple[float, ...] = ()
    else:
        sets, ratios = view.set_likelihood[considered][:, clips], view.ratio_likelihood[considered][:, clips]
        of_sets, trajectory = _choose(sets if apart else sets * ratios, how)
        of_ratios = _choose(ratios[:, task.state_is_blend[truth]], how)[0] if apart else of_sets
    where = np.arange(len(view.score)) if where is None else where
    n = len(view.score) if n is None else n
    return Weights(_spread(of_sets, where[considered], n), _spread(of_ratios, where[considered], n), trajectory)


def _least_squares(
    task: Task,
    view: FoldView,
    considered: NDArray[np.int64],
    clips: NDArray[np.bool_],
    truth: NDArray[np.int64],
    apart: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[considered candidate] weights of the sets and of the ratios: on the states at once, or apart."""
    states = np.stack([view.states_of(int(index))[clips] for index in considered])  # [candidate, clip, state]
    if not apart:
        weights = least_squares_weights(states, truth)
        return weights, weights
    blend = task.state_is_blend[truth]
    pair, ratio = np.divmod(truth[blend] - task.n_classes, task.n_ratios)
    return (
        least_squares_weights(set_probabilities(task, states), task.state_set[truth]),
        least_squares_weights(split_probabilities(task, states[:, blend], pair), ratio),
    )


def _choose(likelihood: NDArray[np.float32], how: Selection) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """Weights of candidates that are ordered by Score, and the trajectory.

    Args:
        likelihood: [candidate, clip] of the truth.
    """
    n = len(likelihood)
    if how.method == "greedy":
        return _bagged_greedy(np.asarray(likelihood, np.float32), how)
    if how.method == "likelihood":
        return likeliest_weights(np.asarray(likelihood, np.float64)), ()
    kept = 1 if how.method == "single" else min(how.members, n)
    return np.where(np.arange(n) < kept, 1 / kept, 0.0), ()


def first_step(how: Selection, n_candidates: int) -> int:
    """Models in the average at the first step of the trajectory."""
    return min(how.start, _bag_size(min(how.candidates, n_candidates)))


def _bag_size(n_candidates: int) -> int:
    return n_candidates if n_candidates < FEW else (n_candidates + 1) // 2


def _bagged_greedy(likelihood: NDArray[np.float32], how: Selection) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    generator = np.random.default_rng(how.seed)
    n = len(likelihood)
    half = _bag_size(n)
    weights, steps = np.zeros(n), []
    for _ in range(how.bags):
        bag = np.sort(generator.choice(n, half, replace=False))
        chosen, losses = _greedy(likelihood[bag], how.members, how.start)
        weights[bag] += chosen / how.bags
        steps.append(losses)
    return weights / weights.sum(), tuple(np.mean(steps, axis=0).tolist())


def _greedy(likelihood: NDArray[np.float32], steps: int, start: int) -> tuple[NDArray[np.float64], list[float]]:
    """Weights at the best step, and the loss after each; float32: a step is a logarithm of each candidate and clip."""
    count = np.zeros(len(likelihood))
    likelihood = np.maximum(likelihood, TINY)
    chosen = _diverse(likelihood, start)
    count[chosen] += 1
    total, n = likelihood[chosen].sum(0), len(chosen)
    losses = [float(_loss(total / n))]
    best, best_loss = count.copy(), losses[0]
    logs = np.empty_like(likelihood)
    for _ in range(steps):
        n += 1
        np.log(np.add(total, likelihood, out=logs), out=logs)
        each = np.log(n) - logs.mean(1)  # [candidate] loss with it
        pick = int(np.argmin(each))
        count[pick] += 1
        total += likelihood[pick]
        losses.append(float(each[pick]))
        if losses[-1] < best_loss:
            best, best_loss = count.copy(), losses[-1]
    return best / best.sum(), losses


def _diverse(likelihood: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """The likeliest candidate, and from the likelier half those that agree least with the ones taken already."""
    order = np.argsort(_loss(likelihood), kind="stable")
    pool = order[: max(n, (len(order) + 1) // 2)]
    log = np.log(np.maximum(likelihood[pool], TINY))
    alike = np.corrcoef(log) if len(pool) > 1 else np.ones((1, 1))
    alike = np.nan_to_num(alike, nan=1.0)
    taken = [0]
    while len(taken) < min(n, len(pool)):
        nearest = alike[:, taken].max(1)
        nearest[taken] = np.inf
        taken.append(int(np.argmin(nearest)))
    return np.asarray(pool[taken])


def _loss(likelihood: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Mean negative log-likelihood over the last axis."""
    return np.asarray(-np.log(np.maximum(likelihood, TINY)).mean(-1))


def _spread(weights: NDArray[np.float64], where: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """[all candidates] with the weights where they belong; one too small to matter is given to the others."""
    whole = np.zeros(n)
    whole[where] = np.where(weights >= min(LEAST_WEIGHT, weights.max()), weights, 0.0)
    return np.asarray(whole / whole.sum())
