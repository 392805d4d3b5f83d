"""Kernels between clips: one for each encoder, combined into one, and weights by alignment with the labels.

    gaussian:  k_e(x, y) = exp(-|x - y|^2 / (2 b_e^2))        laplace:  k_e(x, y) = exp(-|x - y| / b_e)
    sum:       k(x, y) = sum_e w_e a_e(x) a_e(y) k_e(x, y) / sqrt(w(x) w(y)),   w(x) = sum_e w_e a_e(x)
    product:   k(x, y) = prod_e k_e(x, y)^(w_e / sum_e w_e)

a_e(x) is 1 where clip x has encoder e and 0 elsewhere, so that a sum is over the encoders that both clips have; where
none is missing it is the weighted mean. (Dividing by the weights that both clips have is no kernel: its matrix has
negative eigenvalues.) In a product a missing encoder counts as the mean, 0. The weights are the same for every clip.

Source: Goenen and Alpaydin, JMLR 2011 (sums and products of kernels); the normalisation for missing encoders is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from rfe.model.fitted import Float32, Float64, PoolFeatures

Kind = Literal["gaussian", "laplace"]
Combination = Literal["sum", "product"]
ROWS = 128
"""Clips whose kernels are computed at a time: all steps on a few rows, which stay in the processor's cache."""
SAMPLE = 512
"""Clips, evenly spaced, among which the median distance is taken."""
ALIGNED = 1024
"""Clips, evenly spaced, on whose kernels the alignment is computed."""


@dataclass(frozen=True)
class CombinedKernel:
    """A kernel on several encoders."""

    kind: Kind
    combination: Combination
    bandwidths: Mapping[str, float]
    """Encoder -> b_e."""
    weights: Mapping[str, float]
    """Encoder -> w_e, at least 0, not all 0."""

    def between(self, left: PoolFeatures, right: PoolFeatures) -> Float32:
        """[left clip, right clip]."""
        return self._fill(left, right, lower=False)

    def lower_triangle(self, clips: PoolFeatures) -> Float32:
        """[clip, clip] between the same clips; what is above the diagonal is not computed."""
        return self._fill(clips, clips, lower=True)

    def _fill(self, left: PoolFeatures, right: PoolFeatures, *, lower: bool) -> Float32:
        kernel = np.empty((len(left), len(right)), np.float32)
        scale = {
            name: np.float32(1 / (b * 2**0.5 if self.kind == "gaussian" else b)) for name, b in self.bandwidths.items()
        }
        rights = {name: _bordered(values * scale[name], left=False) for name, values in right.values.items()}
        left_factor, right_factor = self._factors(left), self._factors(right)
        shares = {name: np.float32(weight / sum(self.weights.values())) for name, weight in self.weights.items()}
        alike = len(set(shares.values())) == 1  # one multiplication at the end is enough
        for start in range(0, len(kernel), ROWS):
            rows = slice(start, min(start + ROWS, len(kernel)))
            columns = slice(rows.stop if lower else len(right))
            total = np.zeros((rows.stop - start, columns.stop), np.float32)
            for name, share in shares.items():
                part = self._part(_bordered(left.values[name][rows] * scale[name], left=True), rights[name][columns])
                if name in left_factor:
                    part *= left_factor[name][rows, None]
                if name in right_factor:
                    part *= right_factor[name][columns]
                if not alike:
                    part *= share
                total += part
            if alike:
                total *= share
            kernel[rows, columns] = total if self.combination == "sum" else np.exp(total, out=total)
        return kernel

    def _factors(self, clips: PoolFeatures) -> dict[str, Float32]:
        """Encoder -> [clip] a_e(x) / sqrt(w(x)), w of all encoders being 1; empty where each is 1."""
        if self.combination == "product" or clips.complete:
            return {}
        total = sum(self.weights.values())
        there = sum(weight / total * clips.available[name] for name, weight in self.weights.items())
        factor = np.asarray(there > 0, np.float64) / np.sqrt(np.where(there > 0, there, 1.0))
        return {name: (factor * clips.available[name]).astype(np.float32) for name in self.weights}

    def _part(self, left: Float32, right: Float32) -> Float32:
        """One encoder's kernel between `_bordered` features, or its logarithm where kernels are multiplied."""
        exponent: Float32 = left @ right.T
        np.minimum(exponent, 0, out=exponent)  # minus the squared distance
        if self.kind == "laplace":
            np.negative(exponent, out=exponent)
            np.sqrt(exponent, out=exponent)
            np.negative(exponent, out=exponent)
        return np.exp(exponent, out=exponent) if self.combination == "sum" else exponent


def _bordered(values: Float32, *, left: bool) -> Float32:
    """Features with two more columns, so that a product of left and right ones is minus the squared distance.

    -|x - y|^2 = (2x, -|x|^2, 1) . (y, 1, -|y|^2): one product in place of passes over the kernel for the norms.
    """
    norm, one = -np.einsum("cd,cd->c", values, values)[:, None], np.ones((len(values), 1), np.float32)
    return np.concatenate([2 * values, norm, one] if left else [values, one, norm], 1)


def median_distance(values: Float32) -> float:
    """Median Euclidean distance between a sample of the clips; 1 where it is 0.

    Args:
        values: [clip, dim] of clips that have the encoder.

    Examples:
        >>> median_distance(np.array([[0.0], [3.0], [4.0]], np.float32))
        3.0
    """
    sample = evenly_spaced(values, SAMPLE).astype(np.float64)
    norms = np.einsum("cd,cd->c", sample, sample)
    squared = norms[:, None] + norms - 2 * sample @ sample.T
    pairs = squared[np.triu_indices(len(sample), 1)]
    median = float(np.median(pairs)) if len(pairs) else 0.0
    return median**0.5 if median > 1e-12 else 1.0


def evenly_spaced(values: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """At most `n` of the rows.

    Examples:
        >>> evenly_spaced(np.arange(9, dtype=np.float32), 3).tolist()
        [0.0, 4.0, 8.0]
    """
    return values[spaced_index(len(values), n)]


def spaced_index(n_clips: int, n: int) -> NDArray[np.int64]:
    """At most `n` positions among `n_clips`, evenly spaced.

    Examples:
        >>> spaced_index(9, 3).tolist(), spaced_index(2, 3).tolist()
        ([0, 4, 8], [0, 1])
    """
    return np.linspace(0, n_clips - 1, min(n, n_clips)).astype(np.int64)


def aligned_weights(
    kind: Kind, bandwidths: Mapping[str, float], features: PoolFeatures, targets: Float64
) -> dict[str, float]:
    """Encoder -> weight w >= 0, sum 1, of the sum of kernels that is most like the labels' own kernel.

        w = argmax over w >= 0 of <sum_e w_e K_e, Y Y'> / (|sum_e w_e K_e| |Y Y'|), all kernels centred

    It selects encoders (a weight may be 0), but globally: the weights are the same for every clip.

    Args:
        kind: of the kernels.
        bandwidths: of the encoders.
        features: of the training clips; at most `ALIGNED` of them are used.
        targets: Y, [clip, target].

    Source: Cortes, Mohri and Rostamizadeh, JMLR 2012 (centred alignment, "alignf"): with M_ij = <K_i, K_j> and
    a_i = <K_i, Y Y'>, the non-negative least squares min v'Mv - 2v'a gives w up to its scale.
    """
    index = spaced_index(len(features), ALIGNED)
    some, wanted = features.take(index), targets[index] - targets[index].mean(0)
    centred, alignment = [], []
    for name in features.values:
        alone = PoolFeatures({name: some.values[name]}, {name: some.available[name]})
        kernel = CombinedKernel(kind, "sum", {name: bandwidths[name]}, {name: 1.0}).between(alone, alone)
        mean = kernel.mean(0)
        kernel += mean.mean() - mean - mean[:, None]
        centred.append(kernel.ravel())
        alignment.append(float(np.einsum("ct,ct->", kernel @ wanted.astype(np.float32), wanted)))
    gram = np.array([[float(one @ other) for other in centred] for one in centred])
    scale = np.sqrt(np.maximum(np.diag(gram), 1e-12))  # equal diagonals: the solution does not depend on units
    root = np.linalg.cholesky(gram / np.outer(scale, scale) + 1e-6 * np.eye(len(gram)))
    found = nnls(root.T, np.linalg.solve(root, np.array(alignment) / scale))[0] / scale
    if not found.sum() > 0:  # no kernel is like the labels'
        found = np.ones(len(found))
    return dict(zip(features.values, (found / found.sum()).tolist(), strict=True))
