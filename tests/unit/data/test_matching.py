"""Which file is which clip's, by a pattern and by a column of the metadata."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfe.config.reading import write_yaml
from rfe.data.mapping import read_mapping
from rfe.errors import ConfigError
from tests.unit.data.folders import make_rows, names, write_csv

ROWS = make_rows()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings are numbered; the metadata say which is whose."""
    root = tmp_path / "lab"
    (root / "wavlm").mkdir(parents=True)
    rows = []
    for index, row in enumerate(ROWS):
        np.save(root / "wavlm" / f"rec_{index:03}.npy", np.zeros((3, 2)))
        rows.append({**row, "wav": f"rec_{index:03}.wav", "path": f"wavlm/rec_{index:03}.npy"})
    write_csv(root / "metadata.csv", rows)
    return root


def match(folder: Path, files: str, **fields: Any) -> dict[str, list[str]]:
    mapping = folder.parent / "mapping.yaml"
    mapping.write_text(write_yaml({"encoders": {"x": {"files": files, **fields}}}))
    [series] = read_mapping(mapping, folder).series
    return {clip: [path.relative_to(folder).as_posix() for path in paths] for clip, paths in series.clips.items()}


@pytest.mark.parametrize("pattern", ["wavlm/{wav}.npy", "{path}"])
def test_a_column_names_the_file(pattern: str, folder: Path) -> None:
    expected = {name: [f"wavlm/rec_{index:03}.npy"] for index, name in enumerate(names(ROWS))}
    assert match(folder, pattern) == expected


def test_clips_and_columns_go_together(folder: Path) -> None:
    for row in ROWS:
        path = folder / "faces" / row["video_id"] / f"{row['filename']}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a\n1\n")
    found = match(folder, "faces/{video_id}/{clip}.csv")
    assert found == {row["filename"]: [f"faces/{row['video_id']}/{row['filename']}.csv"] for row in ROWS}


def test_a_clips_name_may_stand_twice(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        np.save(folder / name / f"{name}.npy", np.zeros(3))
        np.save(folder / name / "other.npy", np.zeros(3))
    assert match(folder, "{clip}/{clip}.npy") == {"a": ["a/a.npy"], "b": ["b/b.npy"]}


def test_linked_folders_are_searched(folder: Path, tmp_path: Path) -> None:
    (folder / "wavlm").rename(tmp_path / "elsewhere")
    (folder / "wavlm").symlink_to(tmp_path / "elsewhere")
    for pattern in ("**/{clip}.npy", "wavlm/{clip}.npy", "*/{clip}.npy"):
        assert len(match(folder, pattern)) == 48


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("wavlm/{wave}.npy", "{wave} is no column of the metadata; did you mean wav?"),
        ("*/{wav}.npy", "with a column of the metadata, * and ? cannot be used"),
        ("wavlm/{fold}.npy", "wavlm/{fold}.npy matches no file"),
        ("wavlm/{clip}.parquet", "must end in .npy, .npz or .csv; convert other files first"),
        ("wavlm/all.csv", "must have {clip} once, where the clip's name stands"),
        ("wavlm/all.csv", "clip_column says which column names the clip"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_said(pattern: str, said: str, folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        match(folder, pattern)
    assert said in str(caught.value)


def test_two_files_of_one_clip_are_refused_whatever_their_extensions(folder: Path) -> None:
    for name in ("rec_000.wav", "rec_000.mp4"):
        np.save(folder / "wavlm" / f"{name}.npy", np.zeros((3, 2)))
    with pytest.raises(ConfigError, match=r"1 clips have more than one file \(wavlm/rec_000\.mp4\.npy, wavlm/rec_000"):
        match(folder, "wavlm/{clip}.npy")


def test_what_a_column_names_outside_of_the_folder_is_not_read(folder: Path) -> None:
    np.save(folder.parent / "secret.npy", np.zeros((3, 2)))
    write_csv(folder / "metadata.csv", [{**row, "path": "../secret.npy"} for row in ROWS])
    with pytest.raises(ConfigError, match="matches no file"):
        match(folder, "{path}")
