"""Scores of answers to the labelled clips of a data set."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.metadata import Clips
from rfe.metrics.intervals import InfluenceTable
from rfe.metrics.score import FoldTotals, fold_totals

States = NDArray[np.integer[Any]]


def answer_totals(clips: Clips, predicted_state: States) -> FoldTotals:
    """Sums by fold of answers [..., source clip]; -1 is no answer."""
    source = slice(clips.n_source)
    return fold_totals(clips.task, clips.state[source], predicted_state, clips.fold[source], clips.folds)


def answer_influence(clips: Clips, predicted_state: States) -> InfluenceTable:
    """The metrics of answers [seed, source clip] or [source clip], and each clip's influence on them: for intervals."""
    source = slice(clips.n_source)
    return InfluenceTable.of_answers(
        clips.task, clips.state[source], predicted_state, clips.actor[source], clips.fold[source]
    )
