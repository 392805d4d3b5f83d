"""Small data folders to read, and to spoil one thing at a time."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

COLUMNS = (
    "filename", "video_id", "emotion_1", "emotion_2", "emotion_1_salience", "emotion_2_salience", "fold", "split",
)  # fmt: skip
LABELS = (
    ("ang", "", "", ""),
    ("neu", "", "", ""),
    ("ang", "hap", "30", "70"),
    ("disg", "sad", "50", "50"),
    ("fea", "", "", ""),
    ("hap", "sad", "70.0", "30.0"),
)
Row = dict[str, str]


def make_rows(n_actors: int = 6, clips_per_actor: int = 6, n_target_actors: int = 2, n_folds: int = 3) -> list[Row]:
    """Metadata of actors A0.. in folds by turns, then target actors T0.. without labels."""
    rows = []
    for actor in range(n_actors + n_target_actors):
        is_target = actor >= n_actors
        name = f"T{actor - n_actors}" if is_target else f"A{actor}"
        for clip in range(clips_per_actor):
            label = ("",) * 4 if is_target else LABELS[clip % len(LABELS)]
            fold = "" if is_target else str(actor % n_folds)
            split = "test" if is_target else "train"
            rows.append(dict(zip(COLUMNS, (f"{name}_clip{clip}", name, *label, fold, split), strict=True)))
    return rows


def write_csv(path: Path, rows: Iterable[Row]) -> Path:
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def draw_features(rows: list[Row], dim: int = 5, seed: int = 0) -> NDArray[np.float32]:
    """[clip, dim] features with an offset for each actor that is larger than the rest."""
    stream = np.random.default_rng(seed)
    actors = sorted({row["video_id"] for row in rows})
    offset = stream.normal(0, 5, (len(actors), dim))
    mine = offset[[actors.index(row["video_id"]) for row in rows]]
    return (mine + stream.normal(0, 1, (len(rows), dim))).astype(np.float32)


def make_folder(
    folder: Path,
    rows: list[Row] | None = None,
    encoders: Iterable[str] = ("face", "voice"),
    spoil: Callable[[list[Row]], object] | None = None,
) -> Path:
    """A sound data folder, but for what `spoil` does to its metadata rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = make_rows() if rows is None else rows
    for seed, encoder in enumerate(encoders):
        write_features(folder / f"{encoder}_static_features.npz", draw_features(rows, 5 + seed, seed), names(rows))
    if spoil is not None:
        spoil(rows)
    write_csv(folder / "metadata.csv", rows)
    return folder


def names(rows: Iterable[Row]) -> list[str]:
    return [row["filename"] for row in rows]


def write_features(path: Path, values: NDArray[np.generic], filenames: list[str]) -> Path:
    np.savez(path, X=values, filenames=np.array(filenames, np.str_))
    return path
