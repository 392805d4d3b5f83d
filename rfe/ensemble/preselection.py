"""Preselects candidates for calibration, which takes ten times as long as a first look at their outputs.

Calibrated candidates are ranked by Score, and the best `Selection.candidates` are considered. Which ones these may be
is seen before: a decoder with fixed parameters answers nearly as well, candidate by candidate. A fold's preselection
uses the other folds' labels alone, as all that is chosen for it does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.data.dataset import Dataset
from rfe.decoding.ratio_model import n_levels
from rfe.decoding.valid_states import ValidStatesParameters, answer_states, state_probabilities
from rfe.ensemble.calibrated import Truth, map_in_threads
from rfe.ensemble.candidates import Candidate, load_logits
from rfe.ensemble.selection import Selection
from rfe.errors import StudyError
from rfe.metrics.choice import score_metric
from rfe.metrics.metric import Float, LabelShares
from rfe.training.scoring import log_set_weights

MARGIN = 3
"""So many times the candidates that are considered are calibrated for each fold."""


@dataclass(frozen=True)
class Preselection:
    """The candidates to calibrate."""

    places: Mapping[int | None, NDArray[np.int64]]
    """Held-out fold (None: none is) -> candidates by their place, ascending."""
    left_out: Mapping[int, str]
    """Place -> why the candidate's outputs cannot be used."""


def preselect(
    candidates: Sequence[Candidate],
    as_searched: Sequence[Candidate],
    dataset: Dataset,
    how: Selection,
    on_each: Callable[[], None],
) -> Preselection:
    """Choose the candidates to calibrate for each fold; all of them where they are few, or decoded by thresholds.

    Args:
        candidates: of the studies.
        as_searched: the same with the models that the search trained, for the choices without a fold.
        dataset: the data.
        how: members are chosen.
        on_each: called after each look.
    """
    truth, most = Truth.of(dataset), MARGIN * how.candidates
    everyone = np.arange(len(candidates))
    rounds: tuple[int | None, ...] = (*truth.folds, None)
    if len(candidates) <= most or how.decoding == "official":
        return Preselection(dict.fromkeys(rounds, everyone), {})
    retrained = [place for place, one in enumerate(candidates) if one is not as_searched[place]]
    found = map_in_threads(
        lambda one: _totals(one, dataset, truth), [*candidates, *(as_searched[place] for place in retrained)], on_each
    )
    problems = [*enumerate(found[: len(candidates)]), *zip(retrained, found[len(candidates) :], strict=True)]
    left_out = {place: str(one) for place, one in problems if isinstance(one, StudyError)}
    metric = score_metric(truth.task)
    shape = next((one.shape for one in found if not isinstance(one, StudyError)), (len(truth.folds), 1))
    totals = np.stack([np.full(shape, np.nan) if isinstance(one, StudyError) else one for one in found])
    final, searched = totals[: len(candidates)], totals[: len(candidates)].copy()  # [candidate, fold, number]
    searched[retrained] = totals[len(candidates) :]
    kept: dict[int | None, NDArray[np.int64]] = {}
    for held_out in rounds:
        others = np.array([fold != held_out for fold in truth.folds])
        score = metric.value((final if held_out is None else searched)[:, others].sum(1))
        score = np.where(np.isfinite(score), score, -np.inf)  # what cannot be used ranks behind all others
        best = [place for place in np.argsort(-score, kind="stable").tolist() if place not in left_out]
        kept[held_out] = np.sort(best[:most])
    return Preselection(kept, left_out)


def _totals(candidate: Candidate, dataset: Dataset, truth: Truth) -> Float | StudyError:
    """[fold, number] sums of the task's metric; or why they cannot be told."""
    try:
        logits = load_logits(candidate, dataset)
    except StudyError as error:
        return error
    task = truth.task
    place = np.searchsorted(truth.folds, truth.fold)
    omega = candidate.config.model.head_fusion.presence_weight
    # all labels alike, without a look at any
    shares = LabelShares(float(task.state_is_blend.mean()), task.set_possible / task.set_possible.sum())
    # half the logits' own slopes: models are overconfident on clips of other actors
    numbers = (omega / 2, (1 - omega) / 2, np.zeros(task.n_sets), 1.0, np.zeros(n_levels(task)))
    fixed = ValidStatesParameters(*(np.asarray(one, np.float64) for one in (*numbers, shares.blend, shares.sets)))
    fixed = fixed.broadcast(logits.leading, 0)
    offset = log_set_weights(candidate.config, dataset.clips)[place]
    mean = state_probabilities(task, logits, fixed, set_offset=offset).mean(0)
    answers = answer_states(task, mean, shares)
    member = (place[:, None] == np.arange(len(truth.folds))).astype(np.float64)
    return score_metric(task).totals(task, truth.state, answers, member)
