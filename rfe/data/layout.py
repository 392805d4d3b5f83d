"""Recognises the layout of the published record: where metadata, series and feature files are.

Found, wherever below the given folder they lie: `train_metadata.csv` and `test_metadata.csv` (or one `metadata.csv`),
`pre_extracted_train_data/<Encoder>_train/<filename>.npy` or `.csv`, `pre_extracted_test_data/<Encoder>_test/...`, and
`<encoder>_static_features.npz` that were made before. Source: the BlEmoRE challenge's dataset draft.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rfe.data.aggregation import SeriesFiles, list_series, name_encoder
from rfe.data.faults import Faults
from rfe.data.features import feature_file
from rfe.data.file_tree import walk_tree
from rfe.data.metadata import METADATA_FILES
from rfe.data.series import SERIES_SUFFIXES
from rfe.errors import DataError
from rfe.task import Task

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Layout:
    """The files that a data folder is made from."""

    metadata: Mapping[str, Path]
    """Name in the data folder -> file."""
    series: tuple[SeriesFiles, ...]
    features: Mapping[str, Path] = field(default_factory=dict)
    """Name in the data folder -> feature file that is taken over as it is."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Column of our metadata -> what the given files call it, where that is another name."""
    test_clips: tuple[str, ...] = ()
    """Clips in folders of test clips."""
    task: Task | None = None
    """Which labels the clips have, where the mapping says it."""


def read_published(folder: Path) -> Layout:
    """Recognise the published layout.

    Raises:
        DataError: no metadata, no features, or the same file or clip in two places.
    """
    tree = list(walk_tree(folder))
    metadata = _choose_metadata(folder, tree)
    folders = _find_series(tree)
    features = _find_features(tree)
    if not folders and not features:
        raise DataError(
            f"{folder} holds no features: expected pre_extracted_train_data/<Encoder>_train/<filename>.npy or "
            "<encoder>_static_features.npz; describe any other layout in a file, and name it with --mapping"
        )
    clash = sorted({feature_file(encoder) for encoder in folders} & set(features))
    if clash:
        raise DataError(f"{folder}: {', '.join(clash)} stand beside series of the same encoder; keep one of the two")
    faults = Faults()
    series = tuple(list_series(paths, encoder, faults) for encoder, paths in folders.items())
    faults.refuse(str(folder))
    test_clips: set[str] = set()
    for files in series:
        test_clips |= {clip for clip, paths in files.clips.items() if paths[0].parent.name.endswith("_test")}
    return Layout(metadata, series, features, test_clips=tuple(sorted(test_clips)))


def find_metadata(folder: Path) -> dict[str, Path]:
    """The metadata files below a folder, by name.

    Raises:
        DataError: none is found, or one is found twice.
    """
    return _choose_metadata(folder, list(walk_tree(folder)))


def _choose_metadata(folder: Path, tree: Sequence[Path]) -> dict[str, Path]:
    found = {name: _only([path for path in tree if path.name == name]) for name in METADATA_FILES}
    present = {name: path for name, path in found.items() if path is not None}
    if not present:
        raise DataError(f"{folder} holds no train_metadata.csv; unpack the published metadata into it")
    return present


def _find_features(tree: Sequence[Path]) -> dict[str, Path]:
    paths = [path for path in tree if path.name.endswith("_static_features.npz")]
    return {path.name: path for path in paths if _only([one for one in paths if one.name == path.name])}


def _only(paths: list[Path]) -> Path | None:
    if len(paths) > 1:
        raise DataError(f"{paths[0].name} is there more than once ({', '.join(map(str, paths))}); keep one")
    return paths[0] if paths else None


def _find_series(tree: Sequence[Path]) -> dict[str, list[Path]]:
    """Encoder -> its folders of series, training clips first."""
    found: dict[str, list[Path]] = {}
    for split in SPLITS:
        for path in tree:
            inside = any(parent.name == f"pre_extracted_{split}_data" for parent in path.parents)
            if not path.name.endswith(f"_{split}") or not inside or not path.is_dir():
                continue
            if any(file.suffix.lower() in SERIES_SUFFIXES for file in path.iterdir()):
                found.setdefault(name_encoder(path), []).append(path)
    return dict(sorted(found.items()))
