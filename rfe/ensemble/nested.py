"""Nested evaluation: what an ensemble chosen like this one scores on clips that had no part in choosing it.

For each fold, candidates are ranked and calibrated, members chosen and weighted, and the final calibration fitted on
the other folds' labels alone; the fold's own clips are then answered. Fold models of other folds did see the fold's
labels in training, as the protocol accepts; its own never did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from rfe.decoding.valid_states import answer_states
from rfe.ensemble.calibrated import CalibratedCandidate, Truth, mix_states, view_candidates
from rfe.ensemble.selection import Selection, Weights, select_weights
from rfe.labels import N_EMOTIONS, N_STATES
from rfe.progress import Progress

TINY = 1e-12


@dataclass(frozen=True)
class Recalibration:
    """Of averaged distributions, which are flatter than single ones: p' proportional to p^slope, blends weighted by
    exp(blend_bias)."""

    slope: float = 1.0
    blend_bias: float = 0.0

    def apply(self, states: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """[..., 36] distributions."""
        logits = self.slope * np.log(np.maximum(np.asarray(states, np.float64), TINY))
        logits[..., N_EMOTIONS:] += self.blend_bias
        logits -= logits.max(-1, keepdims=True)
        weight = np.exp(logits)
        return np.asarray(weight / weight.sum(-1, keepdims=True))

    @classmethod
    def fit(cls, states: NDArray[np.floating[Any]], truth_state: NDArray[np.int64]) -> "Recalibration":
        """Maximum likelihood; the problem is convex in both numbers.

        Args:
            states: [clip, 36] averaged out-of-fold distributions.
            truth_state: [clip].
        """
        log = np.log(np.maximum(np.asarray(states, np.float64), TINY))
        blend = (np.arange(N_STATES) >= N_EMOTIONS).astype(np.float64)
        own = (np.arange(len(log)), truth_state)

        def loss(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            logits = x[0] * log + x[1] * blend
            logits -= logits.max(1, keepdims=True)
            weight = np.exp(logits)
            share = weight / weight.sum(1, keepdims=True)
            nll = -np.log(np.maximum(share[own], TINY)).mean()
            slope = ((share * log).sum(1) - log[own]).mean()
            bias = (share @ blend - blend[truth_state]).mean()
            return float(nll), np.array([slope, bias])

        found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.1, 10.0), (-5.0, 5.0)])
        return cls(float(found.x[0]), float(found.x[1]))


@dataclass(frozen=True)
class Chosen:
    """What was chosen while a fold was held out (None: none was)."""

    held_out: int | None
    weights: Weights
    recalibration: Recalibration
    answers: NDArray[np.int64]
    """[clip] of the held-out fold, -1 elsewhere; of all clips where none was held out."""
    best_single: int
    """The candidate with the best Score on the clips that were looked at."""
    single_answers: NDArray[np.int64]
    """[clip] that candidate's answers, likewise."""


def choose_nested(calibrated: Sequence[CalibratedCandidate], how: Selection, progress: Progress) -> tuple[Chosen, ...]:
    """Choose once without each fold, and last with all of them.

    Args:
        calibrated: the candidates.
        how: members are chosen.
        progress: told of each candidate looked at.
    """
    truth = calibrated[0].truth
    rounds: tuple[int | None, ...] = (*truth.folds, None)
    progress.start(f"ensemble of {len(calibrated)} candidates, without each fold", len(rounds) * len(calibrated))
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress.update(done)

    found = []
    for held_out in rounds:
        view = view_candidates(calibrated, held_out, step)
        weights = select_weights(view, truth.others(held_out), truth.blend, how)
        found.append(_answer(calibrated, truth, held_out, weights, int(np.argmax(view.score))))
    return tuple(found)


def nested_answers(chosen: Sequence[Chosen], *, single: bool = False) -> NDArray[np.int64]:
    """[clip] each fold's clips as answered by what was chosen without it.

    Args:
        chosen: of `choose_nested`.
        single: the best single candidate's answers in place of the ensemble's.
    """
    rounds = [one.single_answers if single else one.answers for one in chosen if one.held_out is not None]
    return np.asarray(np.max(rounds, axis=0))


def _answer(
    calibrated: Sequence[CalibratedCandidate], truth: Truth, held_out: int | None, weights: Weights, best: int
) -> Chosen:
    members = np.flatnonzero(weights.sets + weights.ratios > 0).tolist()
    states = [calibrated[index].states(held_out) for index in members]
    mixed = mix_states(states, weights.sets[members], weights.ratios[members])
    others, share = truth.others(held_out), truth.blend_share(held_out)
    recalibration = Recalibration.fit(mixed[others], truth.state[others])
    own = np.ones_like(others) if held_out is None else ~others
    answers, singles = np.full(len(own), -1), np.full(len(own), -1)
    answers[own] = answer_states(recalibration.apply(mixed[own]), share)
    singles[own] = answer_states(calibrated[best].states(held_out)[own], share)
    return Chosen(held_out, weights, recalibration, answers, best, singles)
