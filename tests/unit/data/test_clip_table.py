"""One table holds all clips of an encoder: a column names each row's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rfe.config.reading import write_yaml
from rfe.data import parts
from rfe.data.dataset import load_dataset, read_features
from rfe.data.importing import ImportReport, import_folder
from rfe.data.series import NO_DETECTION
from rfe.data.statistics import clip_statistics
from rfe.errors import ConfigError, DataError
from tests.unit.data.folders import make_rows, names, write_csv

ROWS = make_rows()
CLIPS = names(ROWS)
COLUMNS = ("F0semitone_amean", "F0semitone_std", "mfcc1_sma3_amean", "loudness")
SMILE = {"files": "smile.csv", "clip_column": "file", "form": "vector"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "lab"
    root.mkdir()
    write_csv(root / "metadata.csv", ROWS)
    return root


def write_table(
    path: Path, lines: list[list[Any]], header: tuple[str, ...] = ("file", "start", "end", *COLUMNS)
) -> Path:
    path.write_text("\n".join(",".join(map(str, line)) for line in [header, *lines]) + "\n")
    return path


def smile(values: np.ndarray, clips: list[str] = CLIPS) -> list[list[Any]]:  # type: ignore[type-arg]
    """openSMILE's functionals, as its Python package writes them."""
    return [
        [f"audio/{clip}.wav", "0 days 00:00:00", "0 days 00:00:03.100000", *row]
        for clip, row in zip(clips, values.tolist(), strict=True)
    ]


def run(folder: Path, **encoders: dict[str, Any]) -> ImportReport:
    mapping = folder.parent / "mapping.yaml"
    mapping.write_text(write_yaml({"encoders": encoders}))
    return import_folder(folder, folder.parent / "data", mapping=mapping)


def features(folder: Path, encoder: str) -> np.ndarray:  # type: ignore[type-arg]
    data = load_dataset(folder.parent / "data")
    return read_features(data.encoders[encoder], data.clips)


@pytest.fixture
def values() -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(0).normal(size=(48, 4)).astype(np.float32)


def test_a_table_of_functionals_becomes_vectors(folder: Path, values: np.ndarray) -> None:  # type: ignore[type-arg]
    write_table(folder / "smile.csv", smile(values))
    report = run(folder, smile=SMILE)
    [made] = report.aggregated
    assert (made.columns, made.left_out, made.clips, made.skipped) == (COLUMNS, ("start", "end"), 48, {})
    np.testing.assert_array_equal(features(folder, "smile"), values)


def test_patterns_and_ranges_choose_columns(folder: Path, values: np.ndarray) -> None:  # type: ignore[type-arg]
    write_table(folder / "smile.csv", smile(values))
    chosen = ["loudness", "F0semitone_amean:mfcc1_sma3_amean"]
    [made] = run(folder, smile={**SMILE, "columns": chosen}).aggregated
    assert made.columns == ("loudness", *COLUMNS[:3])
    np.testing.assert_array_equal(features(folder, "smile"), values[:, [3, 0, 1, 2]])


def test_a_table_of_frames_becomes_statistics(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CLIPS_PER_PART", 5)
    stream = np.random.default_rng(0)
    series = {clip: stream.normal(size=(3 + index % 4, 2)).astype(np.float32) for index, clip in enumerate(CLIPS)}
    order = [*reversed(CLIPS)]
    lines = [[f"'{clip}'", 0.1 * t, 1, *row] for clip in order for t, row in enumerate(series[clip].tolist())]
    lines += [["'stranger'", 0, 1, 5, 5]]
    path = write_table(folder / "frames.csv", lines, ("name", "frameTime", "success", "a", "b"))
    path.write_text(path.read_text().replace(",", ";"))
    report = run(folder, frames={"files": "frames.csv", "clip_column": "name"})
    assert report.aggregated[0].skipped == {"no clip of the metadata": ("stranger",)}
    for row, clip in zip(features(folder, "frames"), CLIPS, strict=True):
        np.testing.assert_array_equal(row, clip_statistics(series[clip]))


def test_a_clip_that_cannot_be_used_is_masked_alone(folder: Path) -> None:
    lines: list[list[Any]] = [[clip, 1, 0.5 * index, 2] for index, clip in enumerate(CLIPS) for _ in range(3)]
    lines[0][3] = "happy"
    for line in lines[3:6]:
        line[1] = 0
    write_table(folder / "t.csv", lines, ("file", "success", "a", "b"))
    other = write_table(folder / "u.csv", [[clip, index] for index, clip in enumerate(CLIPS)], ("file", "z"))
    report = run(
        folder,
        t={"files": "t.csv", "clip_column": "file"},
        u={"files": other.name, "clip_column": "file", "form": "vector"},
    )
    made = report.aggregated[0]
    assert made.skipped[NO_DETECTION] == (CLIPS[1],)
    [reason] = [one for one in made.skipped if one != NO_DETECTION]
    assert made.skipped[reason] == (CLIPS[0],)
    assert made.examples[reason] == f"{folder / 't.csv'}, line 2: b is 'happy'"
    assert made.clips == 46


def test_several_tables_may_hold_the_clips(folder: Path, values: np.ndarray) -> None:  # type: ignore[type-arg]
    write_table(folder / "smile_train.csv", smile(values[:36], CLIPS[:36]))
    write_table(folder / "smile_test.csv", smile(values[36:], CLIPS[36:]))
    run(folder, smile={**SMILE, "files": "smile_*.csv"})
    np.testing.assert_array_equal(features(folder, "smile"), values)


@pytest.mark.parametrize(
    ("change", "encoder", "said"),
    [
        (
            {},
            {"clip_column": "fiel"},
            r"smile.csv has no column fiel \(clip_column\); it has: file, start, end, F0semi",
        ),
        ({}, {"columns": ["jitter"]}, "smile.csv: no column jitter .it has: file, start, end, F0"),
        ({}, {"columns": ["fold"]}, "encoders.smile.columns: fold is a column of the metadata, a label leak"),
        ({}, {"files": "smile/{clip}.csv"}, "but clip_column says that one table holds all; keep one"),
        ({}, {"files": "smile.npy"}, "one table of all clips is a .csv file"),
        ({}, {"pieces": True, "form": "series"}, "pieces: one table holds all clips; leave it out"),
        ({0: ""}, {}, "smile.csv, line 2: file is empty; it must name the row's clip"),
        ({9: "audio/A0_clip0.wav"}, {}, r"line 11: audio/A0_clip0.wav is there again after rows of other clips; sort"),
        ({9: "video/A0_clip0.mp4"}, {}, "audio/A0_clip0.wav and video/A0_clip0.mp4 both name clip A0_clip0; keep one"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_before_it_is_read(
    change: dict[int, str],
    encoder: dict[str, Any],
    said: str,
    folder: Path,
    values: np.ndarray,  # type: ignore[type-arg]
) -> None:
    lines = smile(values)
    for index, cell in change.items():
        lines[index][0] = cell
    write_table(folder / "smile.csv", lines)
    with pytest.raises(ConfigError, match=said):
        run(folder, smile={**SMILE, **encoder})
    assert sorted(path.name for path in folder.parent.iterdir()) == ["lab", "mapping.yaml"]


def test_rows_of_segments_are_no_vector(folder: Path, values: np.ndarray) -> None:  # type: ignore[type-arg]
    lines = smile(values)
    write_table(folder / "smile.csv", [line for line in lines for _ in range(2)])
    with pytest.raises(DataError, match=r"several rows, not one vector; form: series .* \(48 clips: .* 2 rows\)"):
        run(folder, smile=SMILE)
    assert run(folder, smile={**SMILE, "form": "series"}).check.usable
