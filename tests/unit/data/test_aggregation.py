"""Files of clips into one feature file: what becomes a row, what does not and why, and what is not done twice."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from rfe.data import aggregation, parts
from rfe.data.aggregation import SeriesFiles, aggregate_files, aggregate_series
from rfe.data.features import inspect_features
from rfe.data.reading import Reading
from rfe.data.series import DAMAGED, NO_FRAME
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
    assert (made.encoder, made.clips, made.dim, made.skipped, made.resumed) == ("wavlm", 3, 21, {}, 0)
    assert made.path == tmp_path / "data" / "wavlm_static_features.npz"
    assert [path.name for path in (tmp_path / "data").iterdir()] == [made.path.name]
    with np.load(made.path) as content:
        assert content["filenames"].tolist() == ["a", "b", "t"]
        for row, name in zip(content["X"], "abt", strict=True):
            np.testing.assert_array_equal(row, clip_statistics(series[name]))


def test_output_may_be_the_file_and_the_encoder_may_be_named(tmp_path: Path) -> None:
    make_series(tmp_path / "series", "a")
    assert aggregate_series(tmp_path / "series", tmp_path / "x.npz").path == tmp_path / "x.npz"
    named = aggregate_series(tmp_path / "series", tmp_path, encoder="audio")
    assert named.path.name == "audio_static_features.npz"
    assert inspect_features(named.path).filenames == ("a",)


def test_what_is_skipped_has_a_reason_and_strays_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    series = make_series(folder, "a", "b", "c")
    series["a"][1, 0] = np.inf
    np.save(folder / "a.npy", series["a"])
    np.save(folder / "b.npy", np.full((4, 3), np.nan))
    make_series(folder, "wide", channels=4)
    (folder / "half.npy").write_bytes((folder / "c.npy").read_bytes()[:-8])
    (folder / "text.csv").write_text("x,y,z\n1,2\n")
    (folder / "Thumbs.db").touch()
    (folder / "._a.npy").touch()
    made = aggregate_series(folder, tmp_path)
    assert (made.clips, made.dim, made.ignored, made.incomplete_frames) == (2, 21, ("Thumbs.db",), 1)
    assert made.skipped == {
        NO_FRAME: ("b",),
        DAMAGED: ("half",),
        "a line with more or fewer fields than the header": ("text",),
        "4 channels where most clips have 3 channels": ("wide",),
    }
    assert made.n_skipped == 4
    inspected = inspect_features(made.path)
    assert inspected.filenames == ("a", "c")
    assert not inspected.non_finite.any()


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no clip has a series"):
        aggregate_series(tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="is not a folder"):
        aggregate_series(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.npy").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"bad: no clip has a series .*damaged or not a series of numbers \(1 clip: a; e\.g\. .*a\.npy"
    ):
        aggregate_series(tmp_path / "bad", tmp_path / "out")
    make_series(tmp_path / "in", "a", "b")
    make_series(tmp_path / "in", "c", "d", channels=4)
    with pytest.raises(DataError, match=r"in: clips differ in width .3 channels for 2, 4 channels for 2"):
        aggregate_series(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / "a.csv").write_text("x,y,z\n1,2,3\n")
    with pytest.raises(DataError, match="a second series of clip a, beside"):
        aggregate_series(tmp_path / "in", tmp_path / "out")
    assert not list((tmp_path / "out").glob("[!.]*"))


@pytest.fixture
def many(tmp_path: Path) -> SeriesFiles:
    names = [f"c{index:02d}" for index in range(20)]
    make_series(tmp_path / "in", *names)
    return SeriesFiles("face", {name: (tmp_path / "in" / f"{name}.npy",) for name in names})


def test_processes_make_the_same_file(many: SeriesFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CLIPS_PER_PART", 2)
    alone = aggregate_files(many, tmp_path / "alone.npz", tmp_path / "first", workers=1)
    together = aggregate_files(many, tmp_path / "together.npz", tmp_path / "second", workers=2)
    assert alone.clips == together.clips == 20
    assert alone.path.read_bytes() == together.path.read_bytes()


def test_only_what_is_missing_is_done(many: SeriesFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CLIPS_PER_PART", 4)
    made: list[int] = []
    make_part = parts.make_part
    monkeypatch.setattr(aggregation, "make_part", lambda part: made.append(len(part.clips)) or make_part(part))
    first = aggregate_files(many, tmp_path / "a.npz", tmp_path / "parts")
    assert (first.resumed, made) == (0, [4] * 5)
    victim = sorted((tmp_path / "parts").iterdir())[2]
    victim.write_bytes(victim.read_bytes()[:50])
    made.clear()
    second = aggregate_files(many, tmp_path / "b.npz", tmp_path / "parts")
    assert (second.resumed, made) == (16, [4])
    assert first.path.read_bytes() == second.path.read_bytes()


def test_one_clip_is_in_memory_at_a_time(tmp_path: Path) -> None:
    """The whole encoder is forty times what a clip needs; the peak is that of a few."""
    clips = {}
    for index in range(40):
        path = tmp_path / f"c{index}.npy"
        np.save(path, STREAM.normal(size=(1000, 64)).astype(np.float32))
        clips[path.stem] = (path,)
    one_clip = 1000 * 64 * 4
    files = SeriesFiles("face", clips)
    tracemalloc.start()
    try:
        aggregate_files(files, tmp_path / "out.npz", tmp_path / "parts", workers=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * one_clip < 40 * one_clip


def test_vectors_are_stacked(tmp_path: Path) -> None:
    for index, name in enumerate("ab"):
        np.save(tmp_path / f"{name}.npy", np.arange(3.0) + index)
    files = SeriesFiles("text", {name: (tmp_path / f"{name}.npy",) for name in "ab"}, Reading("vector"))
    made = aggregate_files(files, tmp_path / "out.npz", tmp_path / "parts")
    with np.load(made.path) as content:
        np.testing.assert_array_equal(content["X"], [[0, 1, 2], [1, 2, 3]])
