"""How the classes of a task look: which are alike, how large each is, and what an encoder of each modality sees.

BlEmoRE's emotions have a table of their own. The classes of any other task are drawn: the likeness of two classes is
the cube of a uniform number (few pairs are alike, most are not), a class's length is uniform in `LENGTHS`, and its
visibility uniform in +-`VISIBLE` for video and audio, a tenth of that for audiovisual encoders. Equal seeds and equally
many classes give equal looks.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rfe.data.simulation.knobs import Knobs
from rfe.data.simulation.streams import open_stream
from rfe.task import BLEMORE, Task, blemore_looks

Modality = Literal["video", "audio", "audiovisual"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
LENGTHS = (0.9, 2.5)
"""Shortest and longest content of a drawn class, in units of an ordinary emotion's."""
VISIBLE = 0.8
"""Largest visibility of a drawn class."""


@dataclass(frozen=True)
class Appearance:
    """What the simulator knows of a task's classes."""

    likeness: NDArray[np.float64]
    """[class, class] how alike two classes look, relative to the most alike pairs; 0 on the diagonal."""
    length: NDArray[np.float64]
    """[class] length of a class's content."""
    steady: NDArray[np.bool_]
    """[class] shown in situations and not in intensities."""
    visibility: dict[Modality, NDArray[np.float64]]
    """Modality -> [class], -1 to 1."""

    def geometry(self, knobs: Knobs) -> NDArray[np.float64]:
        """[class, coordinate] mu, one coordinate for each class.

        The symmetric square root of a matrix of wanted similarities, so that coordinate c stays mainly class c and a
        visibility by class has a meaning.
        """
        similarity = np.eye(len(self.length)) + knobs.closeness * self.likeness
        values, vectors = np.linalg.eigh(similarity)
        geometry: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        return geometry * self.length[:, np.newaxis]


def appearance_of(task: Task, knobs: Knobs, seed: int) -> Appearance:
    """BlEmoRE's looks, or drawn ones."""
    return _blemore(knobs) if task.classes == BLEMORE.classes else _draw(task.n_classes, seed)


def _blemore(knobs: Knobs) -> Appearance:
    codes = BLEMORE.classes
    likeness = np.zeros((len(codes), len(codes)))
    for first, second, value in blemore_looks.LIKENESS:
        row, column = codes.index(first), codes.index(second)
        likeness[row, column] = likeness[column, row] = value
    sizes = blemore_looks.SIZE_KNOBS
    return Appearance(
        likeness=likeness,
        length=np.array([getattr(knobs, sizes[code]) if code in sizes else 1.0 for code in codes]),
        steady=np.array([code == blemore_looks.STEADY for code in codes]),
        visibility={
            modality: np.array([blemore_looks.VISIBILITY[modality][code] for code in codes]) for modality in MODALITIES
        },
    )


def _draw(n_classes: int, seed: int) -> Appearance:
    likeness = np.tril(open_stream(seed, "likeness").random((n_classes, n_classes)) ** 3, -1)
    visibility = {
        modality: VISIBLE * (2.0 * open_stream(seed, "visibility", modality).random(n_classes) - 1.0)
        for modality in MODALITIES
    }
    return Appearance(
        likeness=likeness + likeness.T,
        length=open_stream(seed, "class length").uniform(*LENGTHS, n_classes),
        steady=np.zeros(n_classes, np.bool_),
        visibility=visibility | {"audiovisual": 0.1 * visibility["audiovisual"]},
    )
