"""Kernel ridge regression on sets and saliences: a fusion of encoders by one kernel.

With K the combined kernel (`rfe.model.kernels`; bandwidths are a factor times the median distance of training clips) of
the training clips, W their class-balance weights and Y their indicators of the sets and saliences, less the weighted
mean:

    f(x) = mean + k(x)' (K + lambda W^-1)^-1 Y

The logarithm of the scores, clipped from below, are the logits that the usual decoders read. Beyond `EXACT` training
clips, or as many landmarks as are asked for, K is approximated from landmarks m, drawn by the seed:

    f(x) = mean + k_m(x)' (K_nm' W K_nm + lambda (K_mm + eps I))^-1 K_nm' W Y

Without landmarks there is no random number in it. The encoders' weights select globally, not per clip.

Source: Saunders, Gammerman and Vovk, ICML 1998 (kernel ridge); Rudi, Camoriano and Rosasco, NeurIPS 2015 (landmarks,
after Nystroem).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from rfe.model.fitted import (
    Fit,
    FittedModel,
    FittedOutputs,
    Float32,
    Float64,
    PoolFeatures,
    TrainingClips,
    check_shapes,
    encoder_scores,
    log_scores,
)
from rfe.model.kernels import Combination, CombinedKernel, Kind, aligned_weights, median_distance
from rfe.model.random import stream
from rfe.task import Task

EXACT = 20_000
"""Most training clips with a kernel of their own, unless `landmarks` says so: 1.6 GB, and as much for its factor."""
LANDMARKS = 2_048
"""Drawn beyond `EXACT` training clips, unless `landmarks` says how many."""
BLOCK = 2_048
"""Clips whose kernels to the landmarks are in memory at a time."""
JITTER = 1e-3
"""eps: above the rounding of K_mm's eigenvalues, far below any useful lambda."""


@dataclass(frozen=True)
class KernelRidge(FittedModel):
    """See the module."""

    encoders: tuple[str, ...]
    kind: Kind = "gaussian"
    bandwidth: float = 1.0
    """Factor of each encoder's median distance."""
    penalty: float = 1.0
    """lambda, beside a kernel whose diagonal is 1."""
    combination: Combination = "sum"
    weighting: Literal["given", "alignment"] = "given"
    weights: tuple[float, ...] = ()
    """[encoder] with `weighting: given`; empty: all alike."""
    landmarks: int | None = None
    """Drawn where there are more training clips; None: `LANDMARKS` where there are more than `EXACT`."""

    def key(self) -> Hashable:
        """Models that differ in lambda share their kernel."""
        return replace(self, penalty=1.0)

    def is_random(self, n_clips: int) -> bool:
        """Whether landmarks are drawn."""
        return self.n_landmarks(n_clips) < n_clips

    def n_landmarks(self, n_clips: int) -> int:
        """Clips that carry coefficients when `n_clips` train."""
        if self.landmarks is not None:
            return min(self.landmarks, n_clips)
        return n_clips if n_clips <= EXACT else LANDMARKS

    @classmethod
    def fit(cls, models: Sequence[Self], clips: TrainingClips) -> list[Fit]:
        """See `FittedModel.fit`. The loss is the weighted mean squared residual."""
        first, features, task = models[0], clips.features, clips.task
        each = np.concatenate([np.eye(task.n_sets)[task.state_set], task.state_salience.astype(np.float64)], 1)
        targets = each[clips.state]  # [clip, set and class]
        mean = np.average(targets, 0, clips.weight)
        kernel = first._kernel(features, targets)
        n_clips = len(features)
        n_kept = first.n_landmarks(n_clips)
        wanted = targets - mean
        penalties = [one.penalty for one in models]
        if n_kept == n_clips:
            kept = features
            solved = _solve(kernel.lower_triangle(features), wanted, clips.weight, penalties)
        else:
            drawn = np.sort(stream(clips.seed, clips.fold, "landmarks").choice(n_clips, n_kept, replace=False))
            kept = features.take(drawn)
            solved = _solve_by_landmarks(kernel, features, kept, wanted, clips.weight, penalties)
        shared = {
            **{f"landmarks.{name}": np.ascontiguousarray(kept.values[name], np.float32) for name in first.encoders},
            "available": np.stack([kept.available[name] for name in first.encoders], 1).astype(np.float32),
            "bandwidth": np.array([kernel.bandwidths[name] for name in first.encoders], np.float32),
            "weight": np.array([kernel.weights[name] for name in first.encoders], np.float32),
            "mean": mean.astype(np.float32),
        }
        # LAPACK's order of columns would be written to a file as another matrix.
        return [Fit(shared | {"coefficients": np.ascontiguousarray(one)}, loss) for one, loss in solved]

    @classmethod
    def predict(
        cls, models: Sequence[Self], weights: Sequence[Mapping[str, Any]], features: PoolFeatures, task: Task
    ) -> list[FittedOutputs]:
        """See `FittedModel.predict`."""
        first, shared = models[0], weights[0]
        names = first.encoders
        kernel = CombinedKernel(
            first.kind,
            first.combination,
            dict(zip(names, shared["bandwidth"].tolist(), strict=True)),
            dict(zip(names, shared["weight"].tolist(), strict=True)),
        )
        there = shared["available"] > 0
        landmarks = PoolFeatures(
            {name: shared[f"landmarks.{name}"] for name in names},
            {name: there[:, index] for index, name in enumerate(names)},
        )
        scores = np.empty((len(models), len(features), len(shared["mean"])), np.float32)
        for start in range(0, len(features), BLOCK):
            rows = slice(start, start + BLOCK)
            block = kernel.between(features.take(rows), landmarks)
            for place, one in zip(scores, weights, strict=True):  # apart: the last bits do not depend on the others
                place[rows] = block @ one["coefficients"]
        found = []
        by_encoder = encoder_scores(shared["weight"], features)
        for one, own in zip(weights, scores, strict=True):
            sets, saliences = np.split(own.astype(np.float64) + one["mean"], [task.n_sets], 1)
            found.append(log_scores(sets, saliences, by_encoder))
        return found

    def check(self, weights: Mapping[str, Any], dims: Mapping[str, int], task: Task) -> None:
        """See `FittedModel.check`."""
        n_encoders, n_targets = len(self.encoders), task.n_sets + task.n_classes
        wanted: dict[str, tuple[int | None, ...]] = {
            "coefficients": (None, n_targets),
            "mean": (n_targets,),
            "available": (None, n_encoders),
            "bandwidth": (n_encoders,),
            "weight": (n_encoders,),
            **{f"landmarks.{name}": (None, dims[name]) for name in self.encoders},
        }
        check_shapes(weights, wanted)
        if not ((weights["bandwidth"] > 0).all() and (weights["weight"] >= 0).all() and weights["weight"].sum() > 0):
            raise ValueError("bandwidth or weight is not above 0")

    def memory_bytes(self, n_clips: int, dims: Mapping[str, int], task: Task) -> int:
        """The kernel and its factor, or what belongs to the landmarks; and the landmarks' features."""
        kept = self.n_landmarks(n_clips)
        square = 2 * 4 * kept**2 if kept == n_clips else 3 * 8 * kept**2 + 2 * 4 * kept * BLOCK
        return square + 4 * n_clips * (sum(dims.values()) + 3 * (task.n_sets + task.n_classes))

    def _kernel(self, features: PoolFeatures, targets: Float64) -> CombinedKernel:
        bandwidths = {
            name: self.bandwidth * median_distance(values[features.available[name]])
            for name, values in features.values.items()
        }
        if self.weighting == "alignment" and len(bandwidths) > 1:
            weights = aligned_weights(self.kind, bandwidths, features, targets)
        else:
            given = np.array(self.weights or [1.0] * len(bandwidths))
            weights = dict(zip(features.values, (given / given.sum()).tolist(), strict=True))
        return CombinedKernel(self.kind, self.combination, bandwidths, weights)


def _solve(
    kernel: Float32, wanted: Float64, weight: Float32, penalties: Sequence[float]
) -> list[tuple[Float32, float]]:
    """(coefficients [clip, target], loss) for each lambda; `kernel` is the lower triangle and is used up.

    One Cholesky factorisation a lambda: for fewer than about 30 of them that is quicker than one eigendecomposition.
    """
    found = []
    ridge = 1 / weight
    for number, penalty in enumerate(penalties, start=1):
        shifted = kernel if number == len(penalties) else kernel.copy()
        shifted[np.diag_indices_from(shifted)] += np.float32(penalty) * ridge  # float32: half the time, same answers
        # .T is in LAPACK's order, so that nothing is copied; its upper triangle is our lower one.
        factor = cho_factor(shifted.T, lower=False, overwrite_a=True, check_finite=False)
        coefficients = cho_solve(factor, wanted.astype(np.float32), check_finite=False)
        residual = penalty * ridge[:, None] * coefficients
        found.append((coefficients, float((weight[:, None] * residual**2).mean())))
    return found


def _solve_by_landmarks(
    kernel: CombinedKernel,
    features: PoolFeatures,
    kept: PoolFeatures,
    wanted: Float64,
    weight: Float32,
    penalties: Sequence[float],
) -> list[tuple[Float32, float]]:
    """As `_solve`, with coefficients of the landmarks `kept`."""
    n_kept = len(kept)
    gram, moment = np.zeros((n_kept, n_kept)), np.zeros((n_kept, wanted.shape[1]))
    for start in range(0, len(features), BLOCK):
        rows = slice(start, start + BLOCK)
        block = kernel.between(features.take(rows), kept).astype(np.float64)  # sums of 1e5 squares need its digits
        weighted = block * weight[rows, None]
        gram += block.T @ weighted
        moment += weighted.T @ wanted[rows]
    own = kernel.between(kept, kept).astype(np.float64)
    own[np.diag_indices_from(own)] += JITTER
    squares = float((weight[:, None] * wanted**2).sum())
    found = []
    for penalty in penalties:
        factor = cho_factor(gram + penalty * own, lower=True, overwrite_a=True, check_finite=False)
        solution = cho_solve(factor, moment, check_finite=False)
        explained = float((solution * (2 * moment - gram @ solution)).sum())
        found.append((solution.astype(np.float32), (squares - explained) / wanted.size))
    return found
