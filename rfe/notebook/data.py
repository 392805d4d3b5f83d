"""Data folders as a notebook has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from rfe import api
from rfe.config.reading import describe_value
from rfe.errors import DataError
from rfe.notebook.shown import Shown

if TYPE_CHECKING:
    from rfe.data.dataset import Dataset
    from rfe.data.frames import FrameLike
    from rfe.task import Task


@dataclass(frozen=True, repr=False)
class Data(Shown):
    """A validated data folder; returned by `load_data`.

    Examples:
        >>> data = rfe.load_data("my-data")
        >>> len(data.clips), data.encoders.index.tolist()
        (228, ['good', 'noise', 'weak'])
    """

    dataset: "Dataset"
    """The same for the functions of the package below."""

    @property
    def path(self) -> Path:
        """The folder."""
        return self.dataset.path

    @cached_property
    def clips(self) -> pd.DataFrame:
        """One row for each clip: `split`, `actor`, `fold`, `emotions`, and each class's salience in percent."""
        from rfe.data.frames import clip_table

        return clip_table(self.dataset)

    @cached_property
    def encoders(self) -> pd.DataFrame:
        """One row for each encoder: `dim`, and the share of clips that have features."""
        from rfe.data.frames import encoder_table

        return encoder_table(self.dataset)

    def features(self, encoder: str) -> pd.DataFrame:
        """An encoder's features, [clip, dim] with `filename` as index; NaN where it has none of a clip.

        Raises:
            DataError: the data has no such encoder.
        """
        from rfe.data.frames import feature_table
        from rfe.suggestions import unknown

        if encoder not in self.dataset.encoders:
            raise DataError(f"{self.path}: {unknown('encoder', encoder, self.dataset.encoders)}")
        return feature_table(self.dataset, encoder)

    def _heading(self) -> str:
        clips, one = self.dataset.clips, self.dataset
        actors = clips.actor[clips.source]
        known = f" of {len(set(actors.tolist()))} actors" if clips.source_has_actors else ""
        simulated = ", simulated" if one.simulated else ""
        return f"data {one.name}: {clips.n_source} training clips{known}, {clips.n_target} test clips{simulated}"

    def _tables(self) -> Mapping[str, pd.DataFrame]:
        return {"encoders": self.encoders}

    def _notes(self) -> Sequence[str]:
        return self.dataset.caveats


def load_data(
    source: Path | str | pd.DataFrame,
    features: "Mapping[str, FrameLike] | None" = None,
    *,
    folder: Path | str | None = None,
    task: "Task | Path | str | None" = None,
    encoders: Sequence[str] | None = None,
) -> Data:
    """Open a data folder, or make one of tables.

    Args:
        source: the folder or its URI, or the metadata as a table: one row for each clip, with the columns of
            `metadata.csv` (`filename`, `video_id`, `emotion_1`, `emotion_2`, their saliences, `fold`, `split`).
        features: with metadata: encoder -> table whose index is `filename`, or array [clip, dim] in its order.
        folder: with metadata: where the data folder is written; workers read it from there.
        task: with metadata: which labels there are, as an `rfe.task.Task` or a `task.yaml`; None: BlEmoRE's.
        encoders: names of those to use; None: all.

    Raises:
        DataError: with everything that would invalidate a result.

    Examples:
        >>> data = rfe.load_data("my-data", encoders=["good", "weak"])
        >>> data = rfe.load_data(metadata, {"clip": clip_features}, folder="my-data")  # doctest: +SKIP
    """
    if not isinstance(source, str | Path | pd.DataFrame):
        raise DataError(
            f"load_data: {describe_value(source)} is neither a data folder (its path or URI) nor metadata as a "
            "pandas.DataFrame; give one of them"
        )
    if isinstance(source, pd.DataFrame):
        if features is None or folder is None:
            raise DataError("load_data: of metadata as a table also give features={...} and folder=, where it is kept")
        if isinstance(task, str | Path):
            task = api.read_task(Path(task))
        source = api.write_data(source, features, Path(folder), task)
    elif features is not None or folder is not None or task is not None:
        raise DataError(
            "load_data: features, folder and task belong to metadata as a table; of a folder leave them out"
        )
    return Data(api.load_data(source, encoders))
