from pathlib import Path

import numpy as np
import pytest

from rfe.data.features import inspect_features
from rfe.data.series import aggregate_series, read_series
from rfe.data.statistics import clip_statistics
from rfe.errors import DataError

STREAM = np.random.default_rng(0)


def make_series(folder: Path, *clips: str, channels: int = 3) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    folder.mkdir(parents=True, exist_ok=True)
    series = {clip: STREAM.normal(size=(5 + index, channels)).astype(np.float32) for index, clip in enumerate(clips)}
    for clip, values in series.items():
        np.save(folder / f"{clip}.npy", values)
    return series


def test_makes_one_file_of_several_folders(tmp_path: Path) -> None:
    series = make_series(tmp_path / "WavLM_train", "b", "a") | make_series(tmp_path / "WavLM_test", "t")
    made = aggregate_series([tmp_path / "WavLM_train", tmp_path / "WavLM_test"], tmp_path / "data")
    assert (made.encoder, made.clips, made.dim) == ("wavlm", 3, 21)
    assert made.path == tmp_path / "data" / "wavlm_static_features.npz"
    with np.load(made.path) as content:
        assert content["filenames"].tolist() == ["a", "b", "t"]
        for row, name in zip(content["X"], "abt", strict=True):
            np.testing.assert_allclose(row, clip_statistics(series[name]))


def test_output_may_be_the_file_and_the_encoder_may_be_named(tmp_path: Path) -> None:
    make_series(tmp_path / "series", "a")
    assert aggregate_series(tmp_path / "series", tmp_path / "x.npz").path == tmp_path / "x.npz"
    named = aggregate_series(tmp_path / "series", tmp_path, encoder="audio")
    assert named.path.name == "audio_static_features.npz"
    assert inspect_features(named.path).filenames == ("a",)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4, 7), (4, 7)), ((4, 1, 7), (4, 7)), ((7,), (1, 7)), ((4, 1, 1, 7), (4, 7)), ((0, 7), (0, 7))],
)
def test_shapes_of_series(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    assert read_series(tmp_path / "a.npy").shape == expected


def test_frame_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("frame,emotion_index,gaze_yaw\n0,1,0.5\n1,2,1.5\n2,,\n")
    series = read_series(tmp_path / "a.csv")
    np.testing.assert_array_equal(series, [[1, 0.5], [2, 1.5], [np.nan, np.nan]])
    (tmp_path / "b.csv").write_text("frame,emotion_index,gaze_yaw\n")
    made = aggregate_series(tmp_path, tmp_path / "out", encoder="openface")
    assert (made.clips, made.dim, made.skipped, made.incomplete_frames) == (1, 14, ("b",), 1)
    with np.load(made.path) as content:
        assert content["X"][0, :2].tolist() == [1.5, 1.0]


def test_gaps_and_strays_are_reported(tmp_path: Path) -> None:
    series = make_series(tmp_path / "in", "a", "b", "c")
    series["a"][1, 0] = np.inf
    np.save(tmp_path / "in" / "a.npy", series["a"])
    np.save(tmp_path / "in" / "b.npy", np.full((4, 3), np.nan))
    (tmp_path / "in" / "Thumbs.db").touch()
    (tmp_path / "in" / "._a.npy").touch()
    made = aggregate_series(tmp_path / "in", tmp_path)
    assert (made.clips, made.skipped, made.ignored, made.incomplete_frames) == (2, ("b",), ("Thumbs.db",), 5)
    assert not inspect_features(made.path).non_finite.any()


def test_every_fault_has_its_sentence_and_nothing_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    make_series(folder, "good", "fine")
    make_series(folder, "wide", channels=4)
    np.save(folder / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.save(folder / "cube.npy", np.zeros((2, 3, 4)))
    np.save(folder / "text.npy", np.array([["a"]]))
    (folder / "good.csv").write_text("x,y,z\n1,2,3\n")
    (folder / "ragged.csv").write_text("x,y,z\n1,2\n")
    (folder / "words.csv").write_text("x,y,z\n1,2,three\n")
    honest = (folder / "fine.npy").read_bytes()
    (folder / "short.npy").write_bytes(honest[:-8])
    (folder / "absurd.npy").write_bytes(honest.replace(b"(6, 3), }        ", b"(6000000000, 3), }"[:17]))
    with pytest.raises(DataError) as caught:
        aggregate_series(folder, tmp_path / "out")
    message = str(caught.value)
    for part in (
        "9 problems",
        "4 channels where most clips have 3; compute these clips again (1 clip: wide)",
        "objects.npy: truncated, damaged or not a series",
        "cube.npy: shape [2, 3, 4]; a series is [time, channel]",
        "text.npy: values of type <U1",
        "a second series of clip good",
        "ragged.csv: truncated, damaged or not a series of numbers (line 2 has 2 fields, the header 3)",
        "words.csv: truncated",
        "short.npy: truncated",
        "absurd.npy: truncated",
    ):
        assert part in message
    assert not (tmp_path / "out").exists()


def test_no_series(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no clip has a series"):
        aggregate_series(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="is not a folder"):
        aggregate_series(tmp_path / "nowhere", tmp_path / "out")
