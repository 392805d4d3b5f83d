"""The score of an observer who sees the content m itself: the ceiling of everything that sees it through encoders."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.data.simulation.appearance import Appearance
from rfe.data.simulation.content import draw_content, draw_performers
from rfe.data.simulation.knobs import Knobs
from rfe.data.simulation.skeleton import Cells
from rfe.data.simulation.streams import open_stream
from rfe.metrics.choice import score_metric
from rfe.metrics.metric import LabelShares
from rfe.metrics.score import score
from rfe.task import Task

SAMPLE_ACTORS = 2000
"""Fresh actors, a clip of each cell, from whom the observer learns what each cell looks like."""
FEWEST_ACTORS = 10
"""Sampled actors for each class, without which a cell's covariance is not known."""
MOST_VALUES = 2**26
"""Numbers held at once (512 MiB); a task of more cells and classes has fewer sampled actors, or no observer."""


@dataclass(frozen=True)
class Oracle:
    """Gaussian of the content of each cell over all actors, and the answer of the largest expected score.

    It sees m without any encoder's noise and knows the population of actors, not the single actor.
    """

    cells: Cells
    mean: NDArray[np.float64]
    """[cell, coordinate]"""
    whitener: NDArray[np.float64]
    """[cell, coordinate, coordinate] W with W W^T the inverse covariance."""
    log_scale: NDArray[np.float64]
    """[cell] log determinant of the whitener."""

    def answer(self, content: NDArray[np.float64]) -> NDArray[np.int64]:
        """[clip] the state with the largest expected score.

        What an answer adds is the metric's own business: `Metric.expected_gains`.
        """
        cells, task = self.cells, self.cells.task
        log_density = np.empty((len(content), len(cells.state)))
        for cell in range(len(cells.state)):
            white = (content - self.mean[cell]) @ self.whitener[cell]
            log_density[:, cell] = self.log_scale[cell] - 0.5 * np.square(white).sum(axis=1)
        posterior = np.exp(log_density - log_density.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
        of_state = posterior @ np.eye(task.n_states)[cells.state]
        sets = np.bincount(task.state_set[cells.state], minlength=task.n_sets) / len(cells.state)
        gain = score_metric(task).expected_gains(task, of_state, LabelShares(float(cells.is_blend.mean()), sets))
        return np.asarray(gain.argmax(axis=1), np.int64)


def fit_oracle(cells: Cells, look: Appearance, knobs: Knobs, seed: int) -> Oracle | None:
    """Learn each cell's content from a large sample of fresh actors like the training actors.

    Returns:
        None where the task has so many cells and classes that the sample would not fit into memory.
    """
    n_cells, task = len(cells), cells.task
    sample = min(SAMPLE_ACTORS, MOST_VALUES // (n_cells * task.n_classes**2))
    if sample < FEWEST_ACTORS * task.n_classes:
        return None
    performers = draw_performers(task, look, np.zeros(sample, bool), "none", knobs, _sample_seed(seed))
    cell = np.tile(np.arange(n_cells), sample)
    actor = np.repeat(np.arange(sample), n_cells)
    content = draw_content(cell, actor, cells, look, performers, knobs, open_stream(seed, "oracle content"))
    by_cell = content.reshape(sample, n_cells, -1)
    mean = by_cell.mean(axis=0)
    centred = by_cell - mean
    covariance = np.einsum("ack,acl->ckl", centred, centred) / sample
    whitener = np.linalg.cholesky(np.linalg.inv(covariance))
    log_scale = np.log(np.abs(np.diagonal(whitener, axis1=1, axis2=2))).sum(axis=1)
    return Oracle(cells=cells, mean=mean, whitener=whitener, log_scale=log_scale)


def score_answers(task: Task, truth: NDArray[np.int64], answer: NDArray[np.int64]) -> dict[str, float | int | None]:
    """The task's score and its parts of answered states; None where there is no clip or no blend to score."""
    found = score(task, truth, answer)
    parts = {"acc_presence": found.acc_presence, "acc_salience": found.acc_salience, "score": found.score}
    measured = {name: value if np.isfinite(value) else None for name, value in parts.items()}
    return {**measured, "clips": len(truth)}


def _sample_seed(seed: int) -> int:
    """A seed whose performers are not those of the data set."""
    return int(open_stream(seed, "oracle performers").integers(2**31))
