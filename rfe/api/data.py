"""Data folders: fetched, made, taken over, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rfe.progress import Progress
from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    import pandas as pd

    from rfe.data.aggregation import Aggregation
    from rfe.data.check import CheckReport
    from rfe.data.corruption import CorruptionReport, CorruptionSpec
    from rfe.data.dataset import Dataset
    from rfe.data.frames import FrameLike
    from rfe.data.importing import ImportReport
    from rfe.data.record.fetching import FetchReport
    from rfe.data.simulate import SimulationSpec
    from rfe.task import Task


def simulate_data(spec: SimulationSpec, output: Path, *, progress: Progress | None = None) -> Path:
    """Write a simulated data folder; see `rfe.data.simulate`.

    Examples:
        >>> from rfe.data.simulation.spec import SimulationSpec
        >>> rfe.api.simulate_data(SimulationSpec(actors=5, test_actors=1, clips_per_actor=4), Path("small")).name
        'small'
    """
    from rfe.data.simulate import simulate

    return simulate(spec, output, progress)


def corrupt_data(
    folder: Path, output: Path, spec: CorruptionSpec, *, progress: Progress | None = None
) -> CorruptionReport:
    """Write a data folder whose features are wrong for some clips; see `rfe.data.corruption`.

    Examples:
        >>> from rfe.data.corruption import CorruptionSpec
        >>> report = rfe.api.corrupt_data(Path("my-data"), Path("corrupted"), CorruptionSpec(share=0.2))
        >>> sorted(report.altered)
        ['good', 'noise', 'weak']
    """
    from rfe.data.corruption import corrupt

    return corrupt(folder, output, spec, progress)


def fetch_data(
    record: str,
    output: Path,
    *,
    only: Sequence[str] = (),
    unpack: bool = False,
    api: str | None = None,
    progress: Progress | None = None,
) -> FetchReport:
    """Fetch a public record's files into a folder, by its number or DOI; see `rfe.data.record.fetching`.

    Args:
        record: `15096942`, `10.5281/zenodo.15096942`, or an address that ends so.
        output: folder for the files. The same call again fetches what is missing, and resumes a partial file.
        only: names or patterns (`*train*`) of files; none: all.
        unpack: unpack archives to their names without suffix; those that Python cannot read stay packed, with a note.
        api: address of the API; default `RFE_RECORDS_API`, else Zenodo's.

    Raises:
        ConfigError, DataError: as `rfe.data.record.fetching.fetch_record`; what is whole by then stays.
    """
    from rfe.data.record.fetching import fetch_record

    return fetch_record(record, output, only=only, unpack_archives=unpack, api=api, progress=progress)


def import_data(
    folder: Path,
    output: Path,
    *,
    mapping: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Import the published record's folders, or any others that a mapping describes, as a data folder.

    Args:
        folder: above the published files, at any depth; or where the mapping's paths start.
        output: the data folder to make; new or empty. The same call again resumes an interrupted import.
        mapping: a YAML file, see `rfe.data.mapping`.
        workers: processes; default as many as pay, at most four.

    Raises:
        DataError, ConfigError: as `rfe.data.importing.import_folder`.
    """
    from rfe.data.importing import import_folder

    return import_folder(folder, output, mapping=mapping, workers=workers, progress=progress)


def aggregate_data(
    folders: Sequence[Path],
    output: Path,
    *,
    encoder: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Aggregation:
    """Aggregate folders of per-clip time series into one feature file; see `rfe.data.aggregation`."""
    from rfe.data.aggregation import aggregate_series

    return aggregate_series(folders, output, encoder=encoder, workers=workers, progress=progress)


def check_data(folder: Path) -> CheckReport:
    """Describe a data folder and report what would invalidate a result; see `rfe.data.check`.

    Examples:
        >>> report = rfe.api.check_data(Path("my-data"))
        >>> report.problems, [row.name for row in report.encoders]
        ((), ['good', 'noise', 'weak'])
    """
    from rfe.data.check import check_folder

    return check_folder(folder)


def load_data(
    folder: Path | str, encoders: Sequence[str] | None = None, *, workspace: Workspace | None = None
) -> Dataset:
    """Open a data folder, or the copy of what its URI names; see `rfe.data.dataset.load_dataset`.

    Examples:
        >>> dataset = rfe.api.load_data("my-data", encoders=["good", "weak"])
        >>> len(dataset.clips), list(dataset.encoders)
        (228, ['good', 'weak'])
    """
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder

    return load_dataset(local_folder(folder, (workspace or open_workspace()).cache), encoders, need_source=False)


def read_task(path: Path) -> Task:
    """Read a `task.yaml`; see `rfe.task.TaskFile`.

    Examples:
        >>> _ = Path("task.yaml").write_text("{name: valence, classes: [neg, pos]}")
        >>> rfe.api.read_task(Path("task.yaml")).classes
        ('neg', 'pos')
    """
    from rfe.data.task import read_task as read

    return read(path)


def write_data(
    metadata: pd.DataFrame, features: Mapping[str, FrameLike], output: Path, task: Task | None = None
) -> Path:
    """Write a data folder of tables; None: the task is BlEmoRE's. See `rfe.data.frames`.

    Examples:
        >>> import pandas as pd
        >>> from rfe.task import Task
        >>> metadata = pd.DataFrame({"filename": ["c0", "c1"], "fold": [0, 1], "emotion_1": ["neg", "pos"]})
        >>> face = pd.DataFrame([[0.1], [0.2]], index=["c0", "c1"])
        >>> rfe.api.write_data(metadata, {"face": face}, Path("written"), Task("valence", ("neg", "pos"))).name
        'written'
    """
    from rfe.data.frames import write_frames
    from rfe.task import BLEMORE

    return write_frames(metadata, features, output, task or BLEMORE)
