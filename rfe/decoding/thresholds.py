"""Decoders that are two thresholds on two numbers per clip: strength of a blend and unevenness.

Source of the rule: the BlEmoRE organisers' decoding (arXiv 2601.13225).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float, Int, Outputs, Parameters, broadcast_parameter
from rfe.decoding.candidates import Candidates, PairStates, check_ratios
from rfe.decoding.grid import fit_grid
from rfe.decoding.metric_grid import fit_cuts, fit_metric_grid
from rfe.decoding.plateau import fit_plateau
from rfe.metrics.choice import score_metric
from rfe.task import Task

CHUNK_CLIPS = 50_000
"""Clips worked on at a time: temporaries of this many stay in the processor's cache."""


@dataclass(frozen=True)
class ThresholdParameters(Parameters):
    """`strength >= blend` is answered with a blend, `unevenness <= even` with 50/50."""

    blend: NDArray[np.float64]
    """[...] alpha (official) or tau (decoupled)."""
    even: NDArray[np.float64]
    """[...] beta (official) or delta (decoupled)."""


class ThresholdDecoder(ABC):
    """Base of the decoders that are two thresholds; a subclass says what its two numbers are.

    Args:
        task: whose blends are 50/50 or lean to one class by one ratio, if they have a ratio at all.
        thresholds: `grid`, the best of the organisers' 20 x 20 (the first on ties), or `exact`, the middle of the
            optimal plateau. Best is by the task's metric; where that is not `blemore`, `exact` starts at the best of
            the grid and takes the best cut between clips of one threshold, then of the other.

    Raises:
        ConfigError: the task has other ratios, which two thresholds cannot tell apart.
    """

    kind: str
    """As a configuration names it."""

    blend_grid: NDArray[np.float64] = np.linspace(0.05, 0.95, 20)
    even_grid: NDArray[np.float64] = np.linspace(0.05, 0.95, 20)
    even_range: float = 1.0
    """Largest possible unevenness."""

    def __init__(self, task: Task, thresholds: Literal["grid", "exact"] = "grid") -> None:
        check_ratios(task, f"decode.kind: {self.kind}", "use decode.kind: valid_states")
        self.task, self.thresholds = task, thresholds
        self.pairs = PairStates(task)

    @abstractmethod
    def candidates(self, outputs: Outputs) -> Candidates:
        """[..., clip] candidates of [..., clip, class] outputs."""

    def fit(self, outputs: Outputs, truth_state: Int, *, set_offset: Float | None = None) -> ThresholdParameters:
        """As `Decoder.fit`."""
        everyone = np.ones((1, len(truth_state)), np.bool_)
        fitted = self.fit_folds(outputs, truth_state, everyone)
        return fitted.reshape(*outputs.leading, axes=len(outputs.leading) + 1)

    def fit_folds(
        self, outputs: Outputs, truth_state: Int, membership: NDArray[np.bool_], *, set_offset: Float | None = None
    ) -> ThresholdParameters:
        """As `Decoder.fit_folds`."""
        flat = outputs.flat()
        fitted = [
            self._fit_candidates(self.candidates(flat.replicas(part)), truth_state, membership)
            for part in _replica_chunks(flat)
        ]
        return _join(fitted).reshape(*outputs.leading, len(membership), axes=2)

    def fit_and_decode(
        self,
        outputs: Outputs,
        truth_state: Int,
        membership: NDArray[np.bool_],
        fold_index: Int,
        *,
        set_offset: Float | None = None,
    ) -> tuple[NDArray[np.int64], ThresholdParameters]:
        """As `Decoder.fit_and_decode`."""
        flat, fitted = outputs.flat(), []
        answers = np.empty((len(flat.fused), outputs.n_clips), np.int64)
        for part in _replica_chunks(flat):
            candidates = self.candidates(flat.replicas(part))
            fitted.append(self._fit_candidates(candidates, truth_state, membership))
            answers[part] = candidates.answer(fitted[-1].blend[:, fold_index], fitted[-1].even[:, fold_index])
        parameters = _join(fitted).reshape(*outputs.leading, len(membership), axes=2)
        return answers.reshape(*outputs.leading, outputs.n_clips), parameters

    def decode(
        self,
        outputs: Outputs,
        parameters: ThresholdParameters,
        *,
        fold_index: Int | None = None,
        set_offset: Float | None = None,
    ) -> NDArray[np.int64]:
        """As `Decoder.decode`."""
        flat = outputs.flat()
        blend, even = (
            broadcast_parameter(values, outputs.leading, fold_index).reshape(len(flat.fused), -1)
            for values in (parameters.blend, parameters.even)
        )
        answers = np.empty((len(flat.fused), outputs.n_clips), np.int64)
        for part in _replica_chunks(flat):
            answers[part] = self.candidates(flat.replicas(part)).answer(blend[part], even[part])
        return answers.reshape(*outputs.leading, outputs.n_clips)

    def _fit_candidates(
        self, candidates: Candidates, truth_state: Int, membership: NDArray[np.bool_]
    ) -> ThresholdParameters:
        """Thresholds [replica, fold] that maximise the task's metric on the clips."""
        if self.task.metric != "blemore":
            return self._fit_metric(candidates, truth_state, membership)
        hits, numbers = candidates.hits(truth_state), (candidates.strength, candidates.unevenness)
        if self.thresholds == "grid":
            return ThresholdParameters(*fit_grid(hits, *numbers, membership, self.blend_grid, self.even_grid))
        return ThresholdParameters(*fit_plateau(hits, *numbers, membership, self.even_range))

    def _fit_metric(
        self, candidates: Candidates, truth_state: Int, membership: NDArray[np.bool_]
    ) -> ThresholdParameters:
        """As `_fit_candidates`, for metrics that are no sum of hits."""
        given = (score_metric(self.task), self.task, candidates, truth_state, membership)
        fitted = fit_metric_grid(*given, self.blend_grid, self.even_grid)
        if self.thresholds == "exact":
            fitted = fit_cuts(*given, fitted, self.even_range)
        return ThresholdParameters(*fitted)


def _join(parts: list[ThresholdParameters]) -> ThresholdParameters:
    """Parameters of runs of replicas, one after another."""
    blend, even = (np.concatenate([getattr(part, name) for part in parts]) for name in ("blend", "even"))
    return ThresholdParameters(blend, even)


def _replica_chunks(flat: Outputs) -> Iterator[slice]:
    """Runs of replicas of about `CHUNK_CLIPS` clips."""
    step = max(1, CHUNK_CLIPS // max(flat.n_clips, 1))
    for start in range(0, len(flat.fused), step):
        yield slice(start, start + step)
