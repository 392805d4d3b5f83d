"""Clips of one encoder have the same channels in the same order, whatever the order of their tables."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from rfe.data.aggregation import Aggregation, SeriesFiles, aggregate_files, aggregate_series
from rfe.data.reading import Reading
from rfe.errors import DataError

STREAM = np.random.default_rng(0)
CLIPS = [f"c{index}" for index in range(8)]


def write_tables(folder: Path, headers: Mapping[str, str]) -> dict[str, dict[str, list[float]]]:
    """Clip -> column -> values, written under the header of each clip."""
    folder.mkdir(exist_ok=True)
    values = {}
    for clip, header in headers.items():
        values[clip] = {name: STREAM.normal(size=4).tolist() for name in header.split(",")}
        lines = zip(*values[clip].values(), strict=True)
        (folder / f"{clip}.csv").write_text("\n".join([header, *(",".join(map(repr, line)) for line in lines)]))
    return values


def features(made: Aggregation) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    with np.load(made.path) as content:
        return dict(zip(content["filenames"].tolist(), content["X"], strict=True))


@pytest.mark.parametrize("reading", [Reading(), Reading(columns=("*",)), Reading(columns=("b", "a"))])
def test_columns_in_another_order_are_put_in_order_by_name(reading: Reading, tmp_path: Path) -> None:
    headers = {clip: "b,a" if clip in ("c0", "c3") else "a,b" for clip in CLIPS}
    values = write_tables(tmp_path / "in", headers)
    files = SeriesFiles("x", {clip: (tmp_path / "in" / f"{clip}.csv",) for clip in CLIPS}, reading)
    made = aggregate_files(files, tmp_path / "x.npz", tmp_path / "parts")
    order = ("b", "a") if reading.columns == ("b", "a") else ("a", "b")
    assert (made.columns, made.skipped) == (order, {})
    for clip, row in features(made).items():
        of_clip = [np.array(values[clip][name], np.float32) for name in order]
        np.testing.assert_allclose(row[:2], [one.mean() for one in of_clip], rtol=1e-5)
        np.testing.assert_allclose(row[2:4], [one.std() for one in of_clip], rtol=1e-4)
        np.testing.assert_allclose(row[-2:], [np.quantile(one, 0.9) for one in of_clip], rtol=1e-4)


def test_vectors_and_pieces_are_put_in_order_too(tmp_path: Path) -> None:
    for name, content in (("v0", "a,b\n1,2\n"), ("v1", "b,a\n2,1\n"), ("v2", "a,b\n1,2\n")):
        (tmp_path / f"{name}.csv").write_text(content)
    files = SeriesFiles("x", {name: (tmp_path / f"{name}.csv",) for name in ("v0", "v1", "v2")}, Reading("vector"))
    made = aggregate_files(files, tmp_path / "x.npz", tmp_path / "parts")
    assert [row.tolist() for row in features(made).values()] == [[1, 2]] * 3
    pieces = SeriesFiles("x", {"v": (tmp_path / "v0.csv", tmp_path / "v1.csv")})
    made = aggregate_files(pieces, tmp_path / "y.npz", tmp_path / "parts")
    assert features(made)["v"][:4].tolist() == [1, 2, 0, 0]
    (tmp_path / "v1.csv").write_text("a,c\n1,2\n")
    with pytest.raises(DataError, match="pieces that differ in their columns"):
        aggregate_files(pieces, tmp_path / "y.npz", tmp_path / "parts")


def test_a_clip_with_other_columns_is_left_out_and_shown(tmp_path: Path) -> None:
    write_tables(tmp_path / "in", {clip: "a,c" if clip == "c5" else "a,b" for clip in CLIPS})
    made = aggregate_series(tmp_path / "in", tmp_path / "x.npz")
    assert made.skipped == {"other columns than most clips have": ("c5",)}
    assert made.examples == {"other columns than most clips have": "c5: c in the place of b"}
    assert list(features(made)) == [clip for clip in CLIPS if clip != "c5"]


def test_columns_that_no_majority_has_are_refused(tmp_path: Path) -> None:
    write_tables(tmp_path / "in", {clip: "a,c" if index % 2 else "a,b" for index, clip in enumerate(CLIPS)})
    with pytest.raises(
        DataError, match=r"in: clips differ in their columns \(a, b for 4; a, c for 4\); .* columns: in"
    ):
        aggregate_series(tmp_path / "in", tmp_path / "x.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def save(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    folder.mkdir()
    for clip, shape in shapes.items():
        np.save(folder / f"{clip}.npy", STREAM.normal(size=shape))
    return folder


def test_arrays_of_one_step_too_many_are_one_sentence(tmp_path: Path) -> None:
    folder = save(tmp_path / "in", {clip: (1, 20 + index, 2) for index, clip in enumerate(CLIPS)})
    with pytest.raises(DataError) as caught:
        aggregate_series(folder, tmp_path / "x.npz")
    assert str(caught.value) == (
        "in: no clip has a series to make statistics of; a shape [1, time, channel]; write time_axis: 1 in the "
        f"mapping, or save array[0] (8 clips: c0, c1, c2 and 5 more; e.g. {folder / 'c0.npy'}, shape [1, 20, 2])"
    )


def test_transposed_arrays_are_told_of_time_axis(tmp_path: Path) -> None:
    folder = save(tmp_path / "in", {clip: (3, 20 + index) for index, clip in enumerate(CLIPS)})
    with pytest.raises(DataError, match=r"clips differ in width .* All have 3 time steps: .* write time_axis: 1"):
        aggregate_series(folder, tmp_path / "x.npz")


def test_many_widths_are_one_reason(tmp_path: Path) -> None:
    shapes = dict.fromkeys(CLIPS, (5, 3)) | {"w1": (5, 4), "w2": (5, 6), "w3": (5, 7)}
    made = aggregate_series(save(tmp_path / "in", shapes), tmp_path / "x.npz")
    reason = "another width where most clips have 3 channels"
    assert (made.skipped, made.examples) == ({reason: ("w1", "w2", "w3")}, {reason: "w1: 4 channels"})


def test_files_that_are_not_read_are_named_where_there_are_no_others(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.parquet").touch()
    with pytest.raises(DataError, match=r"to make statistics of; expected .*; not read: a\.parquet"):
        aggregate_series(tmp_path / "in", tmp_path / "x.npz")


def test_counters_and_labels_of_any_name_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for index, clip in enumerate(CLIPS):
        lines = [f"{0.033 * frame:.3f},{index},5,{STREAM.normal()}" for frame in range(9)]
        (tmp_path / "in" / f"{clip}.csv").write_text("\n".join(["zeit,wer,rate,a", *lines]))
    made = aggregate_series(tmp_path / "in", tmp_path / "x.npz")
    counter, label = made.notes
    assert counter == (
        "channels that run up or down evenly in every clip, as counters and times do: zeit; leave what is no feature "
        "out with without: [zeit] in the mapping"
    )
    assert label.startswith(
        "channels that have one value within each clip and another in others, as ids and labels do: wer;"
    )


def test_clips_that_mix_faces_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for clip in CLIPS:
        (tmp_path / "in" / f"{clip}.csv").write_text(f"face_id,a\n0,1\n{int(clip == 'c3')},3\n")
    [note] = aggregate_series(tmp_path / "in", tmp_path / "x.npz").notes
    assert note.startswith("frames of several faces (face_id) are taken together in 1 clip: c3;")


def test_features_are_not_taken_for_counters(tmp_path: Path) -> None:
    folder = save(tmp_path / "in", dict.fromkeys(CLIPS, (5, 30)))
    assert aggregate_series(folder, tmp_path / "x.npz").notes == ()


def test_two_files_of_one_clip_are_refused_whatever_their_extensions(tmp_path: Path) -> None:
    folder = save(tmp_path / "in", {"a.wav": (5, 3), "a.mp4": (5, 3)})
    with pytest.raises(DataError, match=r"a\.wav\.npy: a second series of clip a, beside .*a\.mp4\.npy; keep one"):
        aggregate_series(folder, tmp_path / "x.npz")


def test_capital_suffixes_are_read(tmp_path: Path) -> None:
    save(tmp_path / "in", {"a": (5, 3), "b": (5, 3), "c": (5, 3)})
    (tmp_path / "in" / "a.npy").rename(tmp_path / "in" / "a.NPY")
    (tmp_path / "in" / "d.CSV").write_text("x,y,z\n1,2,3\n")
    made = aggregate_series(tmp_path / "in", tmp_path / "x.npz")
    assert (made.clips, made.ignored) == (3, ())
    assert made.examples == {"other columns than most clips have": "d: x, y, z in the place of channels without names"}
