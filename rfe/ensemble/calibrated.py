"""Candidates as distributions over states, each calibrated without the fold whose clips it is asked about.

A nested evaluation of a fold may use no label of that fold, so every calibration exists once without
each pair of folds. A clip of fold j, seen while fold k is held out, is described by parameters fitted without j and k.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from rfe.data.dataset import Dataset
from rfe.decoding.base import Outputs
from rfe.decoding.design import match_design, mean_design
from rfe.decoding.official import OfficialDecoder
from rfe.decoding.thresholds import ThresholdParameters
from rfe.decoding.valid_states import ValidStatesDecoder, ValidStatesParameters, answer_states, state_probabilities
from rfe.ensemble.candidates import Candidate, ModelOutputs
from rfe.metrics.metric import LabelShares, set_probabilities
from rfe.metrics.score import score
from rfe.resources import available_cpus
from rfe.task import Task

Item = TypeVar("Item")
Found = TypeVar("Found")
Float = NDArray[np.floating[Any]]
Float32 = NDArray[np.float32]
Decoding = Literal["states", "design", "official"]
"""How an average is answered: by states and expected score, perhaps matched to the actors' design, or by the
organisers' thresholds; see `answering`."""
THREADS = 4
"""Most that candidates are looked at with; more wait for the interpreter between NumPy's loops."""


@dataclass(frozen=True)
class Truth:
    """Labelled clips as an ensemble is chosen and judged by them."""

    task: Task
    state: NDArray[np.int64]
    """[clip]"""
    fold: NDArray[np.int64]
    """[clip]"""
    actor: NDArray[np.int64] | None = None
    """[clip]; `decoding: design` needs them."""

    @classmethod
    def of(cls, dataset: Dataset) -> "Truth":
        """The training clips of a data set."""
        clips, source = dataset.clips, slice(dataset.clips.n_source)
        return cls(clips.task, clips.state[source], clips.fold[source], clips.actor[source])

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(np.unique(self.fold).tolist())

    @cached_property
    def blend(self) -> NDArray[np.bool_]:
        """[clip]"""
        return self.task.state_is_blend[self.state]

    def others(self, held_out: int | None) -> NDArray[np.bool_]:
        """[clip] whether the clip may be looked at while a fold is held out; None: all may."""
        return np.ones(len(self.fold), np.bool_) if held_out is None else self.fold != held_out

    def shares(self, held_out: int | None) -> LabelShares:
        """How frequent labels are among the clips that may be looked at."""
        return LabelShares.of(self.task, self.state[self.others(held_out)])

    def answer(self, states: Float, held_out: int | None, decoding: Decoding) -> NDArray[np.int64]:
        """[clip] by expected score, from distributions [clip, state]; see `matched`."""
        return answer_states(self.task, self.matched(states, held_out, decoding), self.shares(held_out))

    def matched(self, states: Float, held_out: int | None, decoding: Decoding) -> Float:
        """[clip, state] the distributions that are answered: with `design` matched, actor by actor, to the mean design
        of the actors of all folds but the actor's own and the held-out one."""
        if decoding != "design":
            return states
        assert self.actor is not None  # `check_design` saw to it
        index, designs = np.searchsorted(self.folds, self.fold), []
        for fold in self.folds:
            others = self.others(held_out) & (self.fold != fold)
            designs.append(mean_design(self.task, self.state[others], self.actor[others]))
        return match_design(states, self.actor, np.stack(designs)[index])


@dataclass(frozen=True)
class CalibratedCandidate:
    """A candidate's outputs with its calibrations."""

    candidate: Candidate
    outputs: ModelOutputs
    parameters: ValidStatesParameters
    """[seed, pair of folds]: fitted without the pair; a pair may be one fold twice."""
    truth: Truth

    @classmethod
    def of(cls, candidate: Candidate, outputs: ModelOutputs, truth: Truth) -> "CalibratedCandidate":
        """Fit all calibrations: maximum likelihood on the out-of-fold outputs of the clips that are left."""
        decoder = ValidStatesDecoder(truth.task, candidate.config.model.head_fusion.presence_weight)
        offset = outputs.set_offset[np.searchsorted(outputs.folds, truth.fold)]  # [clip, set]
        return cls(
            candidate,
            outputs,
            decoder.fit_folds(outputs.source, truth.state, _without_pairs(truth), set_offset=offset),
            truth,
        )

    def states(self, held_out: int | None) -> Float32:
        """[clip, state] out-of-fold distributions, mean over seeds, that know nothing of the labels of a fold.

        Args:
            held_out: the fold; None: each clip's own fold alone is left out.
        """
        offset = self.outputs.set_offset[np.searchsorted(self.outputs.folds, self.truth.fold)]
        index = self._fitted_without(held_out)
        task = self.truth.task
        each = state_probabilities(task, self.outputs.source, self.parameters, fold_index=index, set_offset=offset)
        return np.asarray(each.mean(0), np.float32)

    @cached_property
    def fused(self) -> Float32:
        """[clip, class] out-of-fold fused probabilities, mean over seeds; no label had a part in them."""
        return np.asarray(self.outputs.source.fused.mean(0), np.float32)

    def official_answers(self, held_out: int | None) -> NDArray[np.int64]:
        """[clip] by the organisers' thresholds on `fused`, fitted without the held-out fold and the clip's own."""
        return OfficialDecoder(self.truth.task).decode(
            Outputs.of_probabilities(self.fused), self._thresholds, fold_index=self._fitted_without(held_out)
        )

    @cached_property
    def _thresholds(self) -> ThresholdParameters:
        """[pair of folds]"""
        outputs = Outputs.of_probabilities(self.fused)
        return OfficialDecoder(self.truth.task).fit_folds(outputs, self.truth.state, _without_pairs(self.truth))

    def _fitted_without(self, held_out: int | None) -> NDArray[np.int64]:
        """[clip] the pair whose parameters may answer the clip while a fold is held out."""
        folds = self.truth.folds
        row = {pair: index for index, pair in enumerate(_pairs(folds))}
        of_fold = [row[_ordered(j, j if held_out is None else held_out)] for j in folds]
        return np.asarray(of_fold)[np.searchsorted(folds, self.truth.fold)]


@dataclass(frozen=True)
class FoldView:
    """The candidates as seen while a fold is held out, without its labels."""

    set_likelihood: Float32
    """[candidate, clip] probability of the true set."""
    ratio_likelihood: Float32
    """[candidate, clip] probability of the true ratio given the true set; 1 for singles."""
    score: NDArray[np.float64]
    """[candidate] Score on the other folds' clips."""
    states_of: Callable[[int], Float32]
    """Candidate -> [clip, state] its distributions; made when asked for, as all of them would not fit the memory."""


def view_candidates(
    calibrated: Sequence[CalibratedCandidate],
    held_out: int | None,
    decoding: Decoding = "states",
    on_each: Callable[[], None] = lambda: None,
) -> FoldView:
    """Build the view of the candidates while a fold is held out.

    Args:
        calibrated: the candidates.
        held_out: the fold; its clips' entries are there, to be left alone. None: none is.
        decoding: by which candidates are ranked.
        on_each: called after each.
    """
    truth = calibrated[0].truth
    task = truth.task
    others = truth.others(held_out)

    def look(one: CalibratedCandidate) -> tuple[Float, Float, float]:
        states = one.states(held_out)
        of_state = states[np.arange(len(states)), truth.state]
        of_set = set_probabilities(task, states)[np.arange(len(states)), task.state_set[truth.state]]
        is_official = decoding == "official"
        answers = one.official_answers(held_out) if is_official else truth.answer(states, held_out, decoding)
        ratio = of_state / np.maximum(of_set, np.finfo(np.float32).tiny)
        return of_set, ratio, score(task, truth.state[others], answers[others]).score

    sets, ratios, scores = zip(*map_in_threads(look, calibrated, on_each), strict=True)
    of_sets, of_ratios = np.asarray(sets, np.float32), np.asarray(ratios, np.float32)
    return FoldView(of_sets, of_ratios, np.array(scores), lambda index: calibrated[index].states(held_out))


def map_in_threads(
    function: Callable[[Item], Found], items: Iterable[Item], on_each: Callable[[], None]
) -> list[Found]:
    """Apply the function to each item, in order, on a few threads: NumPy's loops release the interpreter lock.

    BLAS is limited to one thread: its products are small, and more threads would only wait for one another.

    Examples:
        >>> map_in_threads(abs, [-1, 2, -3], on_each=lambda: None)
        [1, 2, 3]
    """
    found = []
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(min(THREADS, available_cpus())) as pool:
        for one in pool.map(function, items):
            found.append(one)
            on_each()
    return found


def _without_pairs(truth: Truth) -> NDArray[np.bool_]:
    """[pair of folds, clip] whether the clip is of neither."""
    return np.stack([(truth.fold != j) & (truth.fold != k) for j, k in _pairs(truth.folds)])


def _pairs(folds: Sequence[int]) -> list[tuple[int, int]]:
    return list(combinations_with_replacement(folds, 2))


def _ordered(j: int, k: int) -> tuple[int, int]:
    return (min(j, k), max(j, k))
