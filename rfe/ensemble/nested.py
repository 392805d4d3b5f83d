"""Nested evaluation: the score of an ensemble chosen in the same way, on clips that had no part in the choice.

For each fold, candidates are ranked and calibrated, members chosen and weighted, and the final decoding fitted on the
other folds' labels alone; the fold's own clips are then answered. Fold models of other folds did see the fold's labels
in training, as the protocol accepts; its own never did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from rfe.ensemble.answering import answer_alone, answer_together
from rfe.ensemble.calibrated import CalibratedCandidate, Float32, Truth, view_candidates
from rfe.ensemble.selection import Selection, Weights, select_weights
from rfe.progress import Progress


@dataclass(frozen=True)
class Chosen:
    """The choice made while a fold was held out (None: no fold was)."""

    held_out: int | None
    weights: Weights
    decoding: Mapping[str, float]
    """What was fitted to answer the average; see `answering`."""
    answers: NDArray[np.int64]
    """[clip] of the held-out fold, -1 elsewhere; of all clips where none was held out."""
    states: Float32 | None
    """[clip, state] the distributions behind the answers, NaN where missing; None where thresholds decode."""
    best_single: int
    """The candidate with the best Score on the clips that were looked at."""
    single_answers: NDArray[np.int64]
    """[clip] that candidate's answers, nested too."""


def choose_nested(
    calibrated: Sequence[CalibratedCandidate],
    how: Selection,
    progress: Progress,
    as_searched: Sequence[CalibratedCandidate] | None = None,
    places: Mapping[int | None, NDArray[np.int64]] | None = None,
    where: NDArray[np.int64] | None = None,
    n: int | None = None,
) -> tuple[Chosen, ...]:
    """Choose once without each fold, and last with all of them.

    Args:
        calibrated: the candidates.
        how: members are chosen.
        progress: told of each candidate looked at.
        as_searched: the same candidates with the models that the search itself trained, for the choices without a
            fold: which ones were trained again with more seeds was decided by all folds' labels. None: none was.
        places: held-out fold -> those of the candidates that may be chosen, as `preselect` says. None: all.
        where: [candidate] its place among all `n`, which get a weight each. None: the candidates are all.
    """
    truth = calibrated[0].truth
    rounds: tuple[int | None, ...] = (*truth.folds, None)
    places = places or dict.fromkeys(rounds, np.arange(len(calibrated)))
    where = np.arange(len(calibrated)) if where is None else where
    n = len(calibrated) if n is None else n
    n_looks = sum(map(len, places.values()))
    progress.start(f"ensemble of {n} candidates, without each fold", n_looks)
    done = count(1)
    found = []
    for held_out in rounds:
        mine = calibrated if held_out is None or as_searched is None else as_searched
        mine, at = [mine[place] for place in places[held_out]], where[places[held_out]]
        view = view_candidates(mine, held_out, how.decoding, lambda: progress.update(next(done)))
        weights = select_weights(truth.task, view, truth.others(held_out), truth.state, how, at, n)
        found.append(_answer(mine, at, truth, held_out, weights, int(np.argmax(view.score)), how))
    return tuple(found)


def nested_answers(chosen: Sequence[Chosen], *, single: bool = False) -> NDArray[np.int64]:
    """[clip] each fold's clips as answered by what was chosen without it.

    Args:
        chosen: of `choose_nested`.
        single: the best single candidate's answers in place of the ensemble's.
    """
    rounds = [one.single_answers if single else one.answers for one in chosen if one.held_out is not None]
    return np.asarray(np.max(rounds, axis=0))


def nested_states(chosen: Sequence[Chosen]) -> Float32 | None:
    """[clip, state] the distributions behind the nested answers; None where thresholds decode."""
    rounds = [one.states for one in chosen if one.held_out is not None and one.states is not None]
    return np.asarray(np.fmax.reduce(rounds), np.float32) if rounds else None


def _answer(
    calibrated: Sequence[CalibratedCandidate],
    at: NDArray[np.int64],
    truth: Truth,
    held_out: int | None,
    weights: Weights,
    best: int,
    how: Selection,
) -> Chosen:
    members = np.flatnonzero(weights.sets + weights.ratios > 0).tolist()
    mine = [calibrated[index] for index in np.searchsorted(at, members)]
    together = answer_together(mine, weights.sets[members], weights.ratios[members], held_out, how.decoding)
    own = np.ones(len(truth.fold), np.bool_) if held_out is None else truth.fold == held_out
    return Chosen(
        held_out,
        weights,
        together.fitted,
        np.where(own, together.answers, -1),
        None if together.states is None else np.where(own[:, None], together.states, np.float32(np.nan)),
        int(at[best]),
        np.where(own, answer_alone(calibrated[best], held_out, how.decoding), -1),
    )
