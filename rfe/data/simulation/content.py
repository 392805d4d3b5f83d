"""What a clip truly shows, before any encoder sees it: m = g_a kappa sum_c y'_c (mu_c + delta_ac).

g_a is the actor's expressivity, kappa the clip's intensity, y' the label's weights after a random pull toward one of a
blend's two classes, mu_c the class geometry and delta_ac the actor's personal display of class c; content has one
coordinate for each class. A blend of classes that look alike has a personal display of its own besides: actors agree
least on how anger and sadness show at once. (Without it such blends are among the easiest for top-two decoding; in the
real task they are the hardest.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfe.data.simulation.appearance import Appearance
from rfe.data.simulation.knobs import Knobs
from rfe.data.simulation.skeleton import Cells
from rfe.data.simulation.streams import open_stream
from rfe.task import Task

CLIP_INTENSITY = 0.1
"""Log standard deviation of intensity between clips of one nominal intensity."""
SHIFT_EXPRESSIVITY: dict[str, tuple[float, float]] = {"none": (0.0, 1.0), "mild": (-0.05, 1.1), "strong": (-0.2, 1.4)}
"""shift -> (moved log mean, factor on the log standard deviation) of the test actors' expressivity."""
SHIFT_DISPLAY: dict[str, float] = {"none": 1.0, "mild": 1.1, "strong": 1.4}
"""shift -> factor on the test actors' personal display."""


@dataclass(frozen=True)
class Performers:
    """How each actor shows the classes."""

    expressivity: NDArray[np.float64]
    """[actor] g."""
    display: NDArray[np.float64]
    """[actor, class, coordinate] delta."""
    blend_display: NDArray[np.float64]
    """[actor, pair, coordinate] what a blend shows beyond its parts; 0 for pairs that are not alike."""


def draw_performers(
    task: Task, look: Appearance, actor_is_test: NDArray[np.bool_], shift: str, knobs: Knobs, seed: int
) -> Performers:
    """Each actor's expressivity and personal display; test actors from a moved and wider distribution.

    Args:
        actor_is_test: [actor].
        shift: `none`, `mild` or `strong`.
    """
    rng = open_stream(seed, "performers")
    n_coordinates = task.n_classes
    moved, wider = SHIFT_EXPRESSIVITY[shift]
    draws = rng.standard_normal((len(actor_is_test), 1 + task.n_sets * n_coordinates))  # a row is an actor's own
    log_expressivity = draws[:, 0] * knobs.expressivity
    log_expressivity = np.where(actor_is_test, moved + wider * log_expressivity, log_expressivity)
    display = draws[:, 1:].reshape(-1, task.n_sets, n_coordinates)
    display *= np.where(actor_is_test, SHIFT_DISPLAY[shift], 1.0)[:, np.newaxis, np.newaxis]
    likeness = np.array([look.likeness[pair] for pair in task.pairs])
    return Performers(
        expressivity=np.exp(log_expressivity),
        display=knobs.display * display[:, : task.n_classes],
        blend_display=knobs.scatter * likeness[:, np.newaxis] * display[:, task.n_classes :],
    )


def draw_content(
    cell: NDArray[np.int64],
    actor: NDArray[np.int64],
    cells: Cells,
    look: Appearance,
    performers: Performers,
    knobs: Knobs,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """[clip, coordinate] m of every clip.

    Args:
        cell: [clip] index into `cells`.
        actor: [clip] index into `performers`.
        look: of the cells' task.
    """
    task = cells.task
    state, level = cells.state[cell], cells.level[cell]
    is_blend = task.state_is_blend[state]
    steady = look.steady[np.where(is_blend, 0, state)] & ~is_blend
    single = np.where(steady, 1.0, 1.0 + knobs.intensity_spread * (level - 2.5) / 1.5)
    intensity = np.where(is_blend, knobs.blend_intensity, single)
    draws = rng.standard_normal((len(cell), 2))  # a row is a clip's own
    intensity = intensity * np.exp(CLIP_INTENSITY * draws[:, 0])
    weights = _pull_blends(task.state_salience[state].astype(np.float64), knobs, draws[:, 1])
    shown = look.geometry(knobs) + performers.display[actor]
    content: NDArray[np.float64] = np.einsum("nc,nck->nk", weights, shown)
    content[is_blend] += performers.blend_display[actor[is_blend], task.state_set[state[is_blend]] - task.n_classes]
    content *= (performers.expressivity[actor] * intensity)[:, np.newaxis]
    return content


def _pull_blends(weights: NDArray[np.float64], knobs: Knobs, draw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights with each blend's log odds moved at random: an actor asked for 50/50 seldom shows exactly that."""
    present = weights > 0
    push = np.where(present.sum(axis=1) > 1, knobs.pull * draw, 0.0)
    tilt = np.ones_like(weights)
    tilt[np.arange(len(weights)), present.argmax(axis=1)] = np.exp(push)
    tilted = weights * tilt
    return np.asarray(tilted / tilted.sum(axis=1, keepdims=True))
