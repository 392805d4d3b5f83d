"""The score of an observer who sees the content m itself: the ceiling of everything that sees it through encoders."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.data.simulation.content import draw_content, draw_performers
from rfe.data.simulation.knobs import Knobs
from rfe.data.simulation.skeleton import list_cells
from rfe.data.simulation.streams import open_stream
from rfe.labels import N_SETS, N_STATES, STATE_IS_BLEND, STATE_SET

SAMPLE_ACTORS = 2000
"""Fresh actors, 54 clips each, from whom the observer learns what each cell looks like."""


@dataclass(frozen=True)
class Oracle:
    """Gaussian of the content of each of the 54 cells over all actors, and the answer of the largest expected score.

    It sees m without any encoder's noise and knows the population of actors, not the single actor.
    """

    mean: NDArray[np.float64]
    """[cell, coordinate]"""
    whitener: NDArray[np.float64]
    """[cell, coordinate, coordinate] W with W W^T the inverse covariance."""
    log_scale: NDArray[np.float64]
    """[cell] log determinant of the whitener."""

    def answer(self, content: NDArray[np.float64]) -> NDArray[np.int64]:
        """[clip] the state with the largest expected score.

        A single scores its probability; a blend's state scores the probability of its pair plus its own over the
        share of blends, because 2 N Score = sum [set right] + sum [blend's state right] / share.
        """
        cells = list_cells()
        log_density = np.empty((len(content), len(cells.state)))
        for cell in range(len(cells.state)):
            white = (content - self.mean[cell]) @ self.whitener[cell]
            log_density[:, cell] = self.log_scale[cell] - 0.5 * np.square(white).sum(axis=1)
        posterior = np.exp(log_density - log_density.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
        of_state = posterior @ np.eye(N_STATES)[cells.state]
        of_set = of_state @ np.eye(N_SETS)[STATE_SET]
        blend_share = float(STATE_IS_BLEND[cells.state].mean())
        gain = of_set[:, STATE_SET] + np.where(STATE_IS_BLEND, of_state / blend_share, 0.0)
        return np.asarray(gain.argmax(axis=1), np.int64)


def fit_oracle(knobs: Knobs, seed: int) -> Oracle:
    """Learn each cell's content from a large sample of fresh actors like the training actors."""
    cells = list_cells()
    n_cells = len(cells.state)
    performers = draw_performers(np.zeros(SAMPLE_ACTORS, bool), "none", knobs, _sample_seed(seed))
    cell = np.tile(np.arange(n_cells), SAMPLE_ACTORS)
    actor = np.repeat(np.arange(SAMPLE_ACTORS), n_cells)
    content = draw_content(cell, actor, cells, performers, knobs, open_stream(seed, "oracle content"))
    by_cell = content.reshape(SAMPLE_ACTORS, n_cells, -1)
    mean = by_cell.mean(axis=0)
    centred = by_cell - mean
    covariance = np.einsum("ack,acl->ckl", centred, centred) / SAMPLE_ACTORS
    whitener = np.linalg.cholesky(np.linalg.inv(covariance))
    log_scale = np.log(np.abs(np.diagonal(whitener, axis1=1, axis2=2))).sum(axis=1)
    return Oracle(mean=mean, whitener=whitener, log_scale=log_scale)


def score_answers(truth: NDArray[np.int64], answer: NDArray[np.int64]) -> dict[str, float | int | None]:
    """ACC_presence, ACC_salience and Score of answered states; None where there is no clip or no blend to score."""
    is_blend = STATE_IS_BLEND[truth]
    presence = float((STATE_SET[truth] == STATE_SET[answer]).mean()) if len(truth) else None
    salience = float((truth == answer)[is_blend].mean()) if is_blend.any() else None
    score = None if presence is None or salience is None else (presence + salience) / 2
    return {
        "acc_presence": presence,
        "acc_salience": salience,
        "score": score,
        "clips": len(truth),
    }


def _sample_seed(seed: int) -> int:
    """A seed whose performers are not those of the data set."""
    return int(open_stream(seed, "oracle performers").integers(2**31))
