"""From an encoder's raw features to what a model reads: standardised, optionally reduced.

Everything is fitted on training clips. Standardising by group (an actor, a pseudo-actor, or all clips of an unknown
crowd) shrinks the group's statistics toward the training clips', so that an actor with few clips is moved little:
mean_a' = (n_a mean_a + k mean) / (n_a + k), the same for the variance, k = 5.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHRINKAGE = 5.0
"""k: how many clips the training statistics count for."""
RESOLUTION = 1e-7
"""Of float32: what varies by less than this part of its mean is constant but for rounding."""
LEAST_DEVIATION = 1e-30
"""What varies by less is constant, too: its standardised values would overflow float32."""
LARGEST = 1e15
"""Standardised values end here, so that what a model makes of them stays finite: a clip may lie as far off as float32
reaches from training clips that barely vary."""
UNGROUPED = -1
"""Group of clips that are standardised by the training statistics alone."""

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Preprocessing:
    """One encoder's fitted preparation; a bundle carries it to new clips."""

    mean: Float64
    """[dim] of the training clips."""
    variance: Float64
    """[dim] of the training clips; 0 where a column is constant there (see `is_constant`)."""
    components: Float32
    """[reduced dim, dim] projection of standardised features; [0, dim] without reduction."""
    center: Float32
    """[dim] mean of the standardised training clips, subtracted before the projection."""

    @property
    def width(self) -> int:
        """Features of a prepared clip."""
        return len(self.components) or len(self.mean)

    def apply(self, values: Float32, group: NDArray[np.int64]) -> Float32:
        """Prepare clips.

        Args:
            values: [clip, dim] raw features of clips that have them.
            group: [clip] whose statistics standardise the clip; `UNGROUPED`: the training clips'. A group's
                statistics are those of its clips in `values`.

        Returns:
            [clip, dim or reduced dim]
        """
        standardized = standardize(values, group, self.mean, self.variance)
        if not len(self.components):
            return standardized
        return np.asarray((standardized - self.center) @ self.components.T)  # [clip, dim] -> [clip, reduced dim]


def fit_preprocessing(values: Float32, group: NDArray[np.int64], reduce: int | None = None) -> Preprocessing:
    """Fit on training clips.

    Args:
        values: [clip, dim] raw features, at least one clip.
        group: [clip] as for `Preprocessing.apply`.
        reduce: PCA dimension; None, or no less than dim, keeps the features as they are. All components are divided
            by one number that makes their mean variance 1: the geometry stays, the scale suits a network. Where the
            clips span fewer dimensions the rest is 0, so that every fold has the same width.
    """
    mean, variance = fit_statistics(values)
    dim = values.shape[1]
    components = np.zeros((0, dim), np.float32)
    center = np.zeros(dim, np.float32)
    if reduced_dim(dim, reduce) < dim:
        standardized = standardize(values, group, mean, variance)
        components, center = _fit_components(standardized, reduced_dim(dim, reduce))
    return Preprocessing(mean, variance, components, center)


def fit_statistics(values: Float32) -> tuple[Float64, Float64]:
    """[dim] mean and variance of features [clip, dim]; the variance of constant columns is 0.

    Examples:
        >>> mean, variance = fit_statistics(np.array([[0.0, 5.0], [2.0, 5.0]], np.float32))
        >>> mean.tolist(), variance.tolist()
        ([1.0, 5.0], [1.0, 0.0])
    """
    mean: Float64 = values.mean(axis=0, dtype=np.float64)
    variance: Float64 = values.var(axis=0, dtype=np.float64)
    variance[is_constant(mean, variance)] = 0.0
    return mean, variance


def is_constant(mean: Float64, variance: Float64) -> NDArray[np.bool_]:
    """[dim] whether a column is constant, or varies by less than float32 tells apart or can be divided by.

    Examples:
        >>> is_constant(np.array([1.0, 1.0]), np.array([0.5, 0.0])).tolist()
        [False, True]
    """
    return (variance <= (RESOLUTION * mean) ** 2) | (variance < LEAST_DEVIATION**2)


def reduced_dim(dim: int, reduce: int | None) -> int:
    """Width of an encoder after `reduce`: an encoder that is no wider keeps its own.

    Examples:
        >>> reduced_dim(768, 64), reduced_dim(32, 64), reduced_dim(768, None)
        (64, 32, 768)
    """
    return dim if reduce is None else min(dim, reduce)


def standardize(values: Float32, group: NDArray[np.int64], mean: Float64, variance: Float64) -> Float32:
    """[clip, dim] features less their group's shrunk mean, by the root of its shrunk variance; at most `LARGEST`.

    A column that is constant over the training clips (variance 0) becomes 0 in every clip: no model can have learnt
    what another value of it means.

    Args:
        values: [clip, dim], all finite.
        group: [clip] any integers; `UNGROUPED` clips are standardised by `mean` and `variance` themselves.
        mean, variance: [dim] of the training clips.

    Examples:
        >>> values = np.array([[0.0], [2.0]], np.float32)
        >>> mean, variance = fit_statistics(values)
        >>> standardize(values, np.full(2, UNGROUPED), mean, variance).round(3).tolist()
        [[-1.0], [1.0]]
    """
    result = np.empty(values.shape, np.float32)
    informative = variance > 0
    for number in np.unique(group):
        members = group == number
        clips = values[members]
        center, spread = (mean, variance) if number == UNGROUPED else _shrink(clips, mean, variance)
        scale = np.where(informative, 1.0 / np.sqrt(np.where(informative, spread, 1.0)), 0.0)
        result[members] = _scale(clips, center, scale)
    return np.clip(result, -LARGEST, LARGEST, out=result)


def _scale(clips: Float32, center: Float64, scale: Float64) -> Float32:
    """[clip, dim] (clips - center) * scale, in float64 in columns that overflow float32 on the way.

    Other columns stay in float32, so that features of an ordinary scale give the bits that they always gave.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaled: Float32 = (clips - center.astype(np.float32)) * scale.astype(np.float32)
    subnormal = (scale > 0) & (scale < np.finfo(np.float32).tiny)  # has few digits, or none, in float32
    wide = np.flatnonzero(subnormal | ~np.isfinite(scaled).all(axis=0))
    if len(wide):
        exact = (clips[:, wide].astype(np.float64) - center[wide]) * scale[wide]
        scaled[:, wide] = np.clip(exact, -LARGEST, LARGEST)
    return scaled


def _shrink(clips: Float32, mean: Float64, variance: Float64) -> tuple[Float64, Float64]:
    n = len(clips)
    own_mean = clips.mean(axis=0, dtype=np.float64)
    own_variance = clips.var(axis=0, dtype=np.float64)
    return (
        (n * own_mean + SHRINKAGE * mean) / (n + SHRINKAGE),
        (n * own_variance + SHRINKAGE * variance) / (n + SHRINKAGE),
    )


def _fit_components(standardized: Float32, width: int) -> tuple[Float32, Float32]:
    n_clips, dim = standardized.shape
    spanned = min(width, n_clips, dim)
    from sklearn.decomposition import PCA  # most of a second, which workers of prepared features do without

    pca = PCA(n_components=spanned, random_state=0).fit(standardized)
    mean_variance = float(pca.explained_variance_.sum()) / width
    components = np.zeros((width, dim), np.float32)
    components[:spanned] = pca.components_ / np.sqrt(mean_variance or 1.0)
    return components, pca.mean_.astype(np.float32)
