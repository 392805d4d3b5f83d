"""Data folders: made, taken over, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rfe.progress import Progress
from rfe.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    import pandas as pd

    from rfe.data.check import CheckReport
    from rfe.data.dataset import Dataset
    from rfe.data.frames import FrameLike
    from rfe.data.importing import ImportReport
    from rfe.data.series import Aggregation
    from rfe.data.simulate import SimulationSpec


def simulate_data(spec: SimulationSpec, output: Path, *, progress: Progress | None = None) -> Path:
    """Write a simulated data folder; see `rfe.data.simulate`."""
    from rfe.data.simulate import simulate

    return simulate(spec, output, progress)


def import_data(folder: Path, output: Path, *, progress: Progress | None = None) -> ImportReport:
    """Make a data folder of the published record's folders; see `rfe.data.importing`."""
    from rfe.data.importing import import_published

    return import_published(folder, output, progress=progress)


def aggregate_data(
    folders: Sequence[Path], output: Path, *, encoder: str | None = None, progress: Progress | None = None
) -> Aggregation:
    """Make one feature file of folders of per-clip time series; see `rfe.data.series`."""
    from rfe.data.series import aggregate_series

    return aggregate_series(folders, output, encoder=encoder, progress=progress)


def check_data(folder: Path) -> CheckReport:
    """Describe a data folder and find what would spoil a result; see `rfe.data.check`."""
    from rfe.data.check import check_folder

    return check_folder(folder)


def load_data(
    folder: Path | str, encoders: Sequence[str] | None = None, *, workspace: Workspace | None = None
) -> Dataset:
    """Open a data folder, or the copy of what its URI names; see `rfe.data.dataset.load_dataset`."""
    from rfe.data.dataset import load_dataset
    from rfe.data.remote import local_folder

    return load_dataset(local_folder(folder, (workspace or open_workspace()).cache), encoders, need_source=False)


def write_data(metadata: pd.DataFrame, features: Mapping[str, FrameLike], output: Path) -> Path:
    """Write a data folder of tables; see `rfe.data.frames`."""
    from rfe.data.frames import write_frames

    return write_frames(metadata, features, output)
