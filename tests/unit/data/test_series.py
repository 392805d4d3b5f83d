"""One clip's file: what is read from it, and the reason where nothing can be."""

import os
import random
from pathlib import Path

import numpy as np
import pytest

from rfe.data.reading import Reading, SeriesError
from rfe.data.series import NO_FRAME, read_row, read_series
from rfe.data.statistics import clip_statistics
from rfe.errors import DataError


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((4, 7), (4, 7)), ((4, 1, 7), (4, 7)), ((7,), (1, 7)), ((4, 1, 1, 7), (4, 7)), ((0, 7), (0, 7))],
)
def test_shapes_of_series(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    assert read_series(tmp_path / "a.npy").values.shape == expected


def test_time_may_be_another_axis(tmp_path: Path) -> None:
    values = np.arange(12.0).reshape(3, 4)
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(read_series(tmp_path / "a.npy", Reading(time_axis=1)).values, values.T)
    np.save(tmp_path / "b.npy", values[np.newaxis])
    np.testing.assert_array_equal(read_series(tmp_path / "b.npy", Reading(time_axis=1)).values, values)
    with pytest.raises(SeriesError, match="no axis 2"):
        read_series(tmp_path / "a.npy", Reading(time_axis=2))


def test_frame_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("frame, emotion_index,gaze_yaw\n0,1,0.5\n1,2,1.5\n2,,\n")
    expected = [[1, 0.5], [2, 1.5], [np.nan, np.nan]]
    np.testing.assert_array_equal(read_series(tmp_path / "a.csv").values, expected)
    chosen = read_series(tmp_path / "a.csv", Reading(columns=("Gaze_Yaw", "frame")))
    np.testing.assert_array_equal(chosen.values, [[0.5, 0], [1.5, 1], [np.nan, 2]])
    with pytest.raises(
        SeriesError, match=r"no column gaze_yaws; did you mean gaze_yaw\? \(it has: frame, emotion_index, gaze_yaw\)"
    ):
        read_series(tmp_path / "a.csv", Reading(columns=("gaze_yaws",)))


def test_archives_of_arrays(tmp_path: Path) -> None:
    values = np.arange(6.0).reshape(3, 2)
    np.savez_compressed(tmp_path / "one.npz", x=values)
    np.savez(tmp_path / "two.npz", x=values, times=np.arange(3))
    np.testing.assert_array_equal(read_series(tmp_path / "one.npz").values, values)
    np.testing.assert_array_equal(read_series(tmp_path / "two.npz", Reading(array="x")).values, values)
    with pytest.raises(SeriesError, match=r"2 arrays; say which with array: in the mapping \(x, times\)"):
        read_series(tmp_path / "two.npz")
    with pytest.raises(SeriesError, match="no array 'y'"):
        read_series(tmp_path / "two.npz", Reading(array="y"))
    np.savez(tmp_path / "objects.npz", x=np.array([{}], object))
    with pytest.raises(SeriesError, match="'x' is truncated, damaged or unsafe"):
        read_series(tmp_path / "objects.npz")
    (tmp_path / "half.npz").write_bytes((tmp_path / "one.npz").read_bytes()[:100])
    with pytest.raises(SeriesError, match="truncated"):
        read_series(tmp_path / "half.npz")


def test_a_row_is_the_statistics_of_whole_frames(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    holes = values.copy()
    holes[2, 1] = np.inf
    np.save(tmp_path / "a.npy", holes)
    row = read_row([tmp_path / "a.npy"], Reading())
    np.testing.assert_array_equal(row.values, clip_statistics(np.delete(values, 2, axis=0)))
    assert row.incomplete == 1


def test_pieces_are_one_series(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    for name, part in (("s0", values[:2]), ("s1", values[2:]), ("wide", np.zeros((1, 4)))):
        np.save(tmp_path / f"{name}.npy", part)
    row = read_row([tmp_path / "s0.npy", tmp_path / "s1.npy"], Reading())
    np.testing.assert_array_equal(row.values, clip_statistics(values))
    with pytest.raises(SeriesError, match="pieces that differ in width"):
        read_row([tmp_path / "s0.npy", tmp_path / "wide.npy"], Reading())


def test_a_vector_is_taken_as_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(4.0))
    np.testing.assert_array_equal(read_row([tmp_path / "a.npy"], Reading("vector")).values, np.arange(4))
    np.save(tmp_path / "b.npy", np.zeros((2, 4)))
    np.save(tmp_path / "c.npy", np.array([1.0, np.nan]))
    for name, said in (("b", "several rows, not one vector; form: series .*2 rows"), ("c", "not finite")):
        with pytest.raises(SeriesError, match=said):
            read_row([tmp_path / f"{name}.npy"], Reading("vector"))


def test_every_fault_has_its_reason_without_the_files_name(tmp_path: Path) -> None:
    np.save(tmp_path / "sound.npy", np.zeros((6, 3)))
    sound = (tmp_path / "sound.npy").read_bytes()
    claimed = sound.replace(b"(6, 3), }         ", b"(6000000000, 3), }")
    assert claimed != sound
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "cube.npy", np.zeros((2, 3, 4)))
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    np.save(tmp_path / "none.npy", np.zeros((0, 3)))
    np.save(tmp_path / "holes.npy", np.full((4, 3), np.nan))
    for name, content in (
        ("short.npy", sound[:-8]),
        ("absurd.npy", claimed),
        ("empty.npy", b""),
        ("pickle.npy", b"\x80\x04K\x01."),
        ("ragged.csv", b"x,y,z\n1,2\n"),
        ("words.csv", b"x,y,z\n1,2,three\n"),
        ("binary.csv", b"\xff\xfe\x00"),
        ("nothing.csv", b""),
        ("counters.csv", b"frame,timestamp\n0,1\n"),
    ):
        (tmp_path / name).write_bytes(content)
    damaged = "truncated, damaged or not a series of numbers"
    expected = {
        "objects.npy": "Python objects, which only pickle could load (unsafe)",
        "cube.npy": "an array of 3 axes; a series is [time, channel]",
        "text.npy": "values of type <U1; a series holds real numbers",
        "none.npy": NO_FRAME,
        "holes.npy": NO_FRAME,
        "short.npy": damaged,
        "absurd.npy": damaged,
        "empty.npy": damaged,
        "pickle.npy": damaged,
        "ragged.csv": "a line with more or fewer fields than the header",
        "words.csv": "column z holds what is no number; leave it out with without: [z] in the mapping, or name the "
        "channels with columns: [...]",
        "binary.csv": damaged,
        "nothing.csv": "no header of channel names",
        "counters.csv": "no column but those that number, time, name, rate or label a frame; name the channels with "
        "columns: [...] in the mapping",
    }
    reasons = {}
    for name in expected:
        with pytest.raises(SeriesError, match=name) as caught:
            read_row([tmp_path / name], Reading())
        reasons[name] = caught.value.reason
    assert reasons == expected


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_any_damage_has_a_reason_or_is_harmless(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    values = np.arange(12.0).reshape(4, 3)
    if suffix == ".csv":
        np.savetxt(path, values, delimiter=",", header="x,y,z", comments="")
    else:
        (np.save if suffix == ".npy" else np.savez_compressed)(path, values)
    content, draw, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(200):
        damaged = bytearray(content)
        for _ in range(draw.choice((1, 4))):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            read_row([path], Reading())
        except SeriesError:
            refused += 1
    assert refused > 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_the_disk_withholds_is_no_fault_of_the_clip(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((6, 3)))
    (tmp_path / "a.npy").chmod(0)
    with pytest.raises(DataError, match=r"a\.npy: cannot be read \(Permission denied\)") as caught:
        read_series(tmp_path / "a.npy")
    assert not isinstance(caught.value, SeriesError)


def test_a_folder_in_a_files_place_ends_the_import(tmp_path: Path) -> None:
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_series(tmp_path / "a.npy")
    assert not isinstance(caught.value, SeriesError)
