"""The published record's layout into one data folder.

Read, wherever below the given folder they lie: `train_metadata.csv` and `test_metadata.csv` (or one `metadata.csv`),
`pre_extracted_train_data/<Encoder>_train/<filename>.npy`, `pre_extracted_test_data/<Encoder>_test/...`, and
`<encoder>_static_features.npz` that were made before. Source: the BlEmoRE challenge's dataset draft.
"""

import csv
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from rfe.data.check import CheckReport, check_folder
from rfe.data.metadata import METADATA_FILES
from rfe.data.series import SERIES_SUFFIXES, Aggregation, aggregate_series, name_encoder
from rfe.errors import DataError
from rfe.progress import Progress

__all__ = ["Aggregation", "ImportReport", "aggregate_series", "import_published"]

_SPLITS = ("train", "test")


@dataclass(frozen=True)
class ImportReport:
    """What was imported, and the check of the folder that came of it."""

    output: Path
    aggregated: tuple[Aggregation, ...]
    copied: tuple[str, ...]
    """Feature files taken over as they were."""
    notes: tuple[str, ...]
    check: CheckReport


def import_published(folder: Path, output: Path, *, progress: Progress | None = None) -> ImportReport:
    """Make a data folder, test clips included, of the published folders.

    Args:
        folder: above the published files, at any depth.
        output: the data folder to make; must not exist, or be empty. It appears whole or not at all.

    Raises:
        DataError: no metadata, no features, the same file in two places, or series that cannot be read.
    """
    folder, output = Path(folder), Path(output)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the one that the published files were unpacked into")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output} exists and is not empty; give a new folder, or remove it")
    metadata = _find_metadata(folder)
    series = _find_series(folder)
    made = _find_feature_files(folder)
    if not series and not made:
        raise DataError(
            f"{folder} holds no features: expected pre_extracted_train_data/<Encoder>_train/<filename>.npy or "
            "<encoder>_static_features.npz"
        )
    clash = sorted({f"{encoder}_static_features.npz" for encoder in series} & set(made))
    if clash:
        raise DataError(f"{folder}: {', '.join(clash)} stand beside series of the same encoder; keep one of the two")
    beside = output.absolute().with_name(f".{output.absolute().name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        for path in (*metadata.values(), *made.values()):
            shutil.copyfile(path, beside / path.name)
        aggregated = tuple(
            aggregate_series(folders, beside, encoder=encoder, progress=progress) for encoder, folders in series.items()
        )
        notes = _write_test_metadata(beside, metadata, series)
        beside.replace(output)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    aggregated = tuple(replace(one, path=output / one.path.name) for one in aggregated)
    return ImportReport(output, aggregated, tuple(made), notes, check_folder(output))


def _find_metadata(folder: Path) -> dict[str, Path]:
    """The metadata files by name."""
    found = {name: _only(sorted(folder.rglob(name))) for name in METADATA_FILES}
    present = {name: path for name, path in found.items() if path is not None}
    if not present:
        raise DataError(f"{folder} holds no train_metadata.csv; unpack the published metadata into it")
    return present


def _find_feature_files(folder: Path) -> dict[str, Path]:
    paths = sorted(folder.rglob("*_static_features.npz"))
    return {path.name: path for path in paths if _only([one for one in paths if one.name == path.name])}


def _only(paths: list[Path]) -> Path | None:
    if len(paths) > 1:
        raise DataError(f"{paths[0].name} is there more than once ({', '.join(map(str, paths))}); keep one")
    return paths[0] if paths else None


def _find_series(folder: Path) -> dict[str, list[Path]]:
    """Encoder -> its folders of series, training clips first."""
    found: dict[str, list[Path]] = {}
    for split in _SPLITS:
        for path in sorted(folder.rglob(f"*_{split}")):
            inside = any(parent.name == f"pre_extracted_{split}_data" for parent in path.parents)
            if inside and path.is_dir() and any(file.suffix in SERIES_SUFFIXES for file in path.iterdir()):
                found.setdefault(name_encoder(path), []).append(path)
    return dict(sorted(found.items()))


def _write_test_metadata(output: Path, metadata: dict[str, Path], series: dict[str, list[Path]]) -> tuple[str, ...]:
    """Where no metadata names the test clips, their series do; returns a note that says so."""
    if "metadata.csv" in metadata or "test_metadata.csv" in metadata:
        return ()
    names = {
        file.stem
        for folders in series.values()
        for folder in folders
        if folder.name.endswith("_test")
        for file in folder.iterdir()
        if file.suffix in SERIES_SUFFIXES and not file.name.startswith(".")
    }
    if not names:
        return ("no test_metadata.csv and no series of test clips: the data folder has no target clips",)
    with (output / "test_metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["filename"], *([name] for name in sorted(names))])
    return (f"no test_metadata.csv: its {len(names)} clips were taken from the names of the test series",)
