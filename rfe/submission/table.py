"""Predictions as a table: set, emotions with their saliences, probabilities."""

import csv
import io

import numpy as np
from numpy.typing import NDArray

from rfe.labels import EMOTIONS, SET_NAMES, STATE_SET, state_percents
from rfe.submission.predictor import Prediction

COLUMNS = (
    "filename",
    "set",
    "emotion_1",
    "emotion_1_salience",
    "emotion_2",
    "emotion_2_salience",
    *(f"p_{emotion}" for emotion in EMOTIONS),
)
"""Saliences in percent; `p_...`: expected share of the emotion's salience, 0 to 1."""


def prediction_columns(state: NDArray[np.int64], probabilities: NDArray[np.float64]) -> dict[str, list[object]]:
    """The columns behind `filename`: name -> [clip] values; an empty second emotion is None.

    Args:
        state: [clip] answers, none of them -1.
        probabilities: [clip, emotion].
    """
    columns: dict[str, list[object]] = {name: [] for name in COLUMNS[1:]}
    for answer, shares in zip(state.tolist(), probabilities.tolist(), strict=True):
        percents = [*state_percents(answer).items(), (None, None)]
        columns["set"].append(SET_NAMES[STATE_SET[answer]])
        for place, (emotion, percent) in enumerate(percents[:2], 1):
            columns[f"emotion_{place}"].append(emotion)
            columns[f"emotion_{place}_salience"].append(percent)
        for emotion, share in zip(EMOTIONS, shares, strict=True):
            columns[f"p_{emotion}"].append(share)
    return columns


def predictions_csv(prediction: Prediction) -> str:
    """The table as text; numbers with all their digits, so that equal predictions give equal bytes."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    columns = prediction_columns(prediction.state, prediction.probabilities)
    rows.writerows(zip(prediction.filename, *columns.values(), strict=True))
    return text.getvalue()
