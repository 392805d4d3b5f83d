"""Data folders: made, taken over, checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rfe.progress import Progress

if TYPE_CHECKING:
    from rfe.data.check import CheckReport
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
