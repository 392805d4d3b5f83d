"""Is a distribution over states calibrated? Numbers to put beside a decoded score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.decoding.base import Float, Int
from rfe.task import Task


@dataclass(frozen=True)
class Calibration:
    """How well a distribution fits the truth; bins without a clip are nan."""

    nll: float
    """Mean negative log-likelihood of the true state, in nats per clip."""
    bin_share: NDArray[np.float64]
    """[bin] share of all (clip, state) probabilities that fall in the bin."""
    bin_predicted: NDArray[np.float64]
    """[bin] mean probability."""
    bin_observed: NDArray[np.float64]
    """[bin] how often the state was true."""
    blend_predicted: float
    """Mean probability of a blend."""
    blend_answered: float
    """Share of clips answered with a blend; above `blend_true` is expected of `valid_states`."""
    blend_true: float
    """Share of clips that are blends."""


def measure_calibration(
    task: Task, probabilities: Float, truth_state: Int, answered_state: Int, *, n_bins: int = 10
) -> Calibration:
    """Fit of a distribution to the true states, or of one over sets to the true sets.

    Args:
        task: the task.
        probabilities: [..., clip, state].
        truth_state: [clip].
        answered_state: [..., clip].
        n_bins: bins of equal width on the square root of the probability (most are small).

    Returns:
        Numbers over all clips and leading axes together; clips without a distribution (nan) are left out.

    Examples:
        >>> task, probabilities = Task("ab", ("a", "b")), np.array([[0.75, 0.25], [0.5, 0.5]])
        >>> fit = measure_calibration(task, probabilities, np.array([0, 1]), np.array([0, 0]))
        >>> round(fit.nll, 3)
        0.49
    """
    kept = np.isfinite(probabilities[..., 0])  # [..., clip]
    truth = np.broadcast_to(truth_state, kept.shape)[kept]
    values = np.asarray(probabilities, np.float64)[kept]  # [kept clip, state]
    of_truth = values[np.arange(len(truth)), truth]
    bins = np.minimum((np.sqrt(values) * n_bins).astype(np.int64), n_bins - 1)
    count = np.bincount(bins.ravel(), minlength=n_bins)
    hits = np.bincount(bins[np.arange(len(truth)), truth], minlength=n_bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Calibration(
            nll=float(-np.log(np.maximum(of_truth, np.finfo(np.float64).tiny)).mean()),
            bin_share=count / count.sum(),
            bin_predicted=np.bincount(bins.ravel(), values.ravel(), n_bins) / count,
            bin_observed=hits / count,
            blend_predicted=float(values[:, task.n_classes :].sum(-1).mean()),
            blend_answered=float((np.asarray(answered_state)[kept] >= task.n_classes).mean()),
            blend_true=float((truth >= task.n_classes).mean()),
        )
