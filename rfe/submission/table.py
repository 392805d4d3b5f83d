"""Predictions as a table: set, classes with their saliences, probabilities."""

import csv
import io

import numpy as np
from numpy.typing import NDArray

from rfe.submission.predictor import Prediction
from rfe.task import Task

ANSWERS = ("set", "emotion_1", "emotion_1_salience", "emotion_2", "emotion_2_salience")
"""Saliences in percent; as the metadata's columns."""


def column_names(task: Task) -> tuple[str, ...]:
    """The columns behind `filename`; `p_CLASS` is the expected share of the class's salience, 0 to 1.

    Examples:
        >>> column_names(Task("ab", ("a", "b")))
        ('set', 'emotion_1', 'emotion_1_salience', 'emotion_2', 'emotion_2_salience', 'p_a', 'p_b')
    """
    return (*ANSWERS, *(f"p_{code}" for code in task.classes))


def prediction_columns(
    task: Task, state: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> dict[str, list[object]]:
    """The columns of `column_names`: name -> [clip] values; an empty second class is None.

    Args:
        task: whose states are answered.
        state: [clip] answers, none of them -1.
        probabilities: [clip, class].

    Examples:
        >>> columns = prediction_columns(Task("ab", ("a", "b")), np.array([1]), np.array([[0.25, 0.75]]))
        >>> columns["set"], columns["emotion_2"], columns["p_b"]
        (['b'], [None], [0.75])
    """
    columns: dict[str, list[object]] = {name: [] for name in column_names(task)}
    for answer, shares in zip(state.tolist(), probabilities.tolist(), strict=True):
        percents = [*task.state_percents(answer).items(), (None, None)]
        columns["set"].append(task.set_names[task.state_set[answer]])
        asked = bool(task.ratios_percent) or percents[1][0] is None
        for place, (code, percent) in enumerate(percents[:2], 1):
            columns[f"emotion_{place}"].append(code)
            columns[f"emotion_{place}_salience"].append(percent if asked else None)
        for code, share in zip(task.classes, shares, strict=True):
            columns[f"p_{code}"].append(share)
    return columns


def predictions_csv(task: Task, prediction: Prediction) -> str:
    """The table as text; numbers with all their digits, so that equal predictions give equal bytes.

    Examples:
        >>> from rfe.submission.predictor import Prediction
        >>> answers = Prediction(("test_0001",), np.array([1]), np.array([[0.25, 0.75]]), ())
        >>> print(predictions_csv(Task("ab", ("a", "b")), answers), end="")
        filename,set,emotion_1,emotion_1_salience,emotion_2,emotion_2_salience,p_a,p_b
        test_0001,b,b,100,,,0.25,0.75
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["filename", *column_names(task)])
    columns = prediction_columns(task, prediction.state, prediction.probabilities)
    rows.writerows(zip(prediction.filename, *columns.values(), strict=True))
    return text.getvalue()
