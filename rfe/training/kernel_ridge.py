"""Kernel ridge regression on sets and saliences: a fusion of encoders by the mean of their kernels.

For each encoder e a kernel on its standardised features, bandwidth the median distance m of training clips:

    gaussian:  k_e(x, y) = exp(-|x - y|^2 / (2 m^2))        laplace:  k_e(x, y) = exp(-|x - y| / m)

K is the mean of the pool's kernels. Indicators of the sets and the saliences, less their means, are regressed with a
penalty lambda: coefficients (K + lambda I)^-1 (Y - mean). The logarithm of the scores, clipped from below, are the
logits that the usual decoder reads. There is no random number in it, and it trains in seconds: what a network has to
beat.

Source: Saunders, Gammerman and Vovk, ICML 1998 (kernel ridge); Goenen and Alpaydin, JMLR 2011 (sums of kernels).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import pdist
from threadpoolctl import threadpool_limits

from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset
from rfe.data.folds import held_out_clips, training_clips
from rfe.decoding.base import Outputs

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Kind = Literal["gaussian", "laplace"]
FLOOR = 1e-3
"""Smallest score: regression gives negative ones, whose logarithm the decoder cannot read."""
ROWS = 128
"""Clips whose kernels are computed at a time."""
SAMPLE = 512
"""Training clips, evenly spaced, among which the median distance is taken."""


@dataclass(frozen=True)
class KernelScores:
    """Out-of-fold scores of one kernel, for several lambdas at once."""

    sets: Mapping[float, Float64]
    """Lambda -> [source clip, set]."""
    saliences: Mapping[float, Float64]
    """Lambda -> [source clip, class]."""

    def outputs(self, penalty: float) -> Outputs:
        """What a decoder reads, as of one seed: [1, clip, ...]."""
        sets, saliences = (
            np.log(np.maximum(one[penalty], FLOOR)).astype(np.float32) for one in (self.sets, self.saliences)
        )
        fused = np.exp(saliences)
        fused /= fused.sum(-1, keepdims=True)
        return Outputs(sets[None], saliences[None], fused[None], "states")


def score_out_of_fold(
    dataset: Dataset,
    cache: FeatureCache,
    pools: Mapping[int, Sequence[str]],
    kind: Kind,
    penalties: Sequence[float],
    *,
    standardize: str,
    target_actors: str,
    reduce: int | None = None,
    threads: int = 1,
) -> KernelScores:
    """Scores of each fold's clips by regressions on the other folds'.

    Args:
        dataset: the data set.
        cache: its prepared features.
        pools: fold -> encoders whose kernels are averaged; a clip that lacks one is averaged over the others.
        kind: of the kernels.
        penalties: lambdas, beside a kernel whose diagonal is 1; each costs one Cholesky factorisation a fold.
        standardize, target_actors, reduce: as in the configuration's `data` section.
        threads: of BLAS.

    Returns:
        Scores of all source clips.
    """
    clips, task = dataset.clips, dataset.clips.task
    targets = np.concatenate(
        [np.eye(task.n_sets)[task.state_set], task.state_salience.astype(np.float64)], 1
    )  # [state, set and class]
    scores = {penalty: np.empty((clips.n_source, targets.shape[1])) for penalty in penalties}
    for fold in clips.folds:
        train, held_out = training_clips(clips, fold), held_out_clips(clips, fold)
        prepared = [
            cache.prepared(name, fold, standardize=standardize, target_actors=target_actors, reduce=reduce)
            for name in pools[fold]
        ]
        with threadpool_limits(threads, "blas"):
            both = np.concatenate([train, held_out])
            kernel = mean_kernel(
                [one.values[both] for one in prepared], [one.available[both] for one in prepared], len(train), kind
            )
            fitted = fit_ridge(kernel[: len(train)], targets[clips.state[train]], penalties)
            for penalty, (coefficients, mean) in fitted.items():
                scores[penalty][held_out] = kernel[len(train) :] @ coefficients + mean
    return KernelScores(
        {penalty: one[:, : task.n_sets] for penalty, one in scores.items()},
        {penalty: one[:, task.n_sets :] for penalty, one in scores.items()},
    )


def mean_kernel(values: Sequence[Float32], available: Sequence[NDArray[np.bool_]], n_train: int, kind: Kind) -> Float32:
    """Kernel between all clips and the training clips, the mean over the encoders that both clips have.

    Args:
        values: [encoder] of [clip, dim], training clips first.
        available: [encoder] of [clip].
        n_train: how many of the clips train.
        kind: of the kernels.

    Returns:
        [clip, training clip]; 0 between clips that share no encoder.
    """
    kernel = np.empty((len(values[0]), n_train), np.float32)
    everywhere = all(there.all() for there in available)
    norms = [np.einsum("cd,cd->c", one, one) for one in values]
    bandwidths = [
        _median_distance(one[:n_train][there[:n_train]]) for one, there in zip(values, available, strict=True)
    ]
    for start in range(0, len(kernel), ROWS):  # all steps on a few rows, which stay in the processor's cache
        rows = slice(start, start + ROWS)
        total = np.zeros(kernel[rows].shape, np.float32)
        count = np.zeros(total.shape, np.float32)
        for one, norm, bandwidth, there in zip(values, norms, bandwidths, available, strict=True):
            block = one[rows] @ one[:n_train].T
            block *= -2
            block += norm[rows, None]
            block += norm[:n_train]
            np.maximum(block, 0, out=block)
            if kind == "gaussian":
                block *= -1 / (2 * bandwidth**2)
            else:
                np.sqrt(block, out=block)
                block *= -1 / bandwidth
            np.exp(block, out=block)
            if not everywhere:
                both = there[rows, None] & there[:n_train]
                block *= both
                count += both
            total += block
        kernel[rows] = total / (len(values) if everywhere else np.maximum(count, 1))
    return kernel


def fit_ridge(kernel: Float32, targets: Float64, penalties: Sequence[float]) -> dict[float, tuple[Float32, Float64]]:
    """Lambda -> (coefficients [training clip, target], mean [target]).

    Args:
        kernel: [training clip, training clip].
        targets: [training clip, target].
        penalties: lambdas, each above 0.
    """
    mean = targets.mean(0)
    found = {}
    for penalty in penalties:
        shifted = kernel.copy()
        shifted[np.diag_indices_from(shifted)] += np.float32(penalty)  # float32: half the time, same answers
        factor = cho_factor(shifted.T, lower=True, overwrite_a=True, check_finite=False)  # .T: no copy for LAPACK
        found[penalty] = (cho_solve(factor, (targets - mean).astype(np.float32), check_finite=False), mean)
    return found


def _median_distance(values: Float32) -> float:
    """Median Euclidean distance between a sample of the clips; 1 where it is 0."""
    sample = values[np.linspace(0, len(values) - 1, min(SAMPLE, len(values))).astype(int)]
    return float(np.median(pdist(sample.astype(np.float64)))) or 1.0
