"""A bundle's answers as a table."""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from rfe import api
from rfe.notebook.places import DataLike, find_data_folder


def predict(bundle: Path | str, data: DataLike) -> pd.DataFrame:
    """Answer the clips of a data folder with a bundle; needs neither Ray nor MLflow.

    Args:
        bundle: a folder or an archive, as `export` writes it.
        data: its test clips are answered; where it has none, all of its clips.

    Returns:
        Index `filename`; columns `set`, the classes with their saliences in percent, `p_...` for each class.

    Raises:
        SubmissionError: the bundle is not whole.
        DataError: data that the models cannot read.

    Warns:
        UserWarning: an encoder is missing, or its features are far off the scale of those in training.

    Examples:
        >>> rfe.predict("first.zip", "new-clips")  # doctest: +SKIP
    """
    from rfe.submission.table import prediction_columns

    folder = find_data_folder(data)
    assert folder is not None
    found = api.predict(Path(bundle), folder)
    answered = found.prediction
    for note in answered.notes:
        warnings.warn(note, stacklevel=2)
    columns = prediction_columns(found.task, answered.state, answered.probabilities)
    table = pd.DataFrame(columns, index=pd.Index(list(answered.filename), name="filename"))
    return table.astype({"emotion_1_salience": "Int64", "emotion_2_salience": "Int64"})


def predict_exported(export: Callable[[Path], Path], data: DataLike) -> pd.DataFrame:
    """Return the answers of a temporary bundle."""
    with tempfile.TemporaryDirectory(prefix="rfe-") as scratch:
        return predict(export(Path(scratch) / "bundle"), data)
