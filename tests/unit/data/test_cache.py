import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rfe.data.cache
from rfe.data.cache import FeatureCache
from rfe.data.dataset import Dataset, load_dataset, read_features
from rfe.data.folds import held_out_clips, training_clips
from rfe.errors import DataError
from tests.unit.data.folders import Row, draw_features, make_folder, make_rows, names, write_features


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Without the features of one training and one target clip in `face`."""
    rows = make_rows()
    folder = make_folder(tmp_path / "data", rows)
    kept = [index for index in range(len(rows)) if index not in (2, 40)]
    write_features(folder / "face_static_features.npz", draw_features(rows)[kept], [names(rows)[i] for i in kept])
    return load_dataset(folder)


@pytest.fixture
def cache(dataset: Dataset, tmp_path: Path) -> FeatureCache:
    return FeatureCache(dataset, tmp_path / "cache")


def entries(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()}


def test_fold_statistics_come_from_training_clips_only(dataset: Dataset, cache: FeatureCache) -> None:
    prepared = cache.prepared("face", 1, standardize="fold")
    raw = read_features(dataset.encoders["face"], dataset.clips)
    train = training_clips(dataset.clips, 1)
    train = train[prepared.available[train]]
    expected = (raw - raw[train].mean(0)) / raw[train].std(0)
    np.testing.assert_allclose(prepared.values[prepared.available], expected[prepared.available], rtol=1e-4, atol=1e-5)
    assert not prepared.values[~prepared.available].any()
    assert prepared.available.sum() == len(dataset.clips) - 2


@pytest.mark.parametrize("target_actors", ["known", "pseudo", "unknown"])
def test_held_out_and_target_clips_never_touch_training_clips(
    dataset: Dataset, tmp_path: Path, target_actors: str
) -> None:
    before = FeatureCache(dataset, tmp_path / "cache").prepared(
        "voice", 0, target_actors=target_actors, clips_per_group=6, reduce=3
    )
    clips = dataset.clips
    raw = read_features(dataset.encoders["voice"], clips)
    others = np.concatenate([held_out_clips(clips, 0), clips.target])
    raw[others] = raw[others][::-1] * 3 + 1
    folder = dataset.path
    write_features(folder / "voice_static_features.npz", raw, clips.filename.tolist())
    changed = FeatureCache(load_dataset(folder), tmp_path / "cache")
    after = changed.prepared("voice", 0, target_actors=target_actors, clips_per_group=6, reduce=3)
    train = training_clips(clips, 0)
    np.testing.assert_array_equal(before.values[train], after.values[train])
    np.testing.assert_array_equal(before.preprocessing.mean, after.preprocessing.mean)
    np.testing.assert_array_equal(before.preprocessing.components, after.preprocessing.components)
    assert not np.array_equal(before.values[others], after.values[others])


def test_actor_standardisation_removes_what_actors_differ_in(dataset: Dataset, cache: FeatureCache) -> None:
    clips = dataset.clips

    def spread(part: Any, **how: Any) -> float:
        values = cache.prepared("voice", 2, **how).values[part]
        actors = clips.actor[part]
        return float(np.std([values[actors == actor].mean(axis=0) for actor in np.unique(actors)], axis=0).mean())

    train, held_out = training_clips(clips, 2), held_out_clips(clips, 2)
    assert spread(train, target_actors="unknown") < 0.8 * spread(train, standardize="fold")
    assert spread(held_out, target_actors="known") < 0.8 * spread(held_out, target_actors="unknown")
    assert spread(clips.target, target_actors="known") < 0.8 * spread(clips.target, target_actors="unknown")


def test_a_final_model_trains_on_every_source_clip(dataset: Dataset, cache: FeatureCache) -> None:
    prepared = cache.prepared("voice", -1, standardize="fold")
    np.testing.assert_allclose(prepared.values[: dataset.clips.n_source].mean(axis=0), 0, atol=1e-5)


def test_an_entry_is_built_once_and_is_read_only(
    cache: FeatureCache, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    prepare = rfe.data.cache.prepare
    monkeypatch.setattr(rfe.data.cache, "prepare", lambda *given: built.append(given[-1]) or prepare(*given))
    first = cache.prepared("face", 0, reduce=2)
    again = FeatureCache(load_dataset(dataset.path), tmp_path / "cache").prepared("face", 0, reduce=2)
    assert len(built) == 1
    assert first.path == again.path
    np.testing.assert_array_equal(first.values, again.values)
    assert isinstance(first.values, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        first.values[0] = 1


def test_what_cannot_change_values_shares_an_entry(cache: FeatureCache, tmp_path: Path) -> None:
    def path(**how: Any) -> Path:
        return cache.prepared("face", 0, **how).path

    assert path(standardize="fold", target_actors="known") == path(standardize="fold", target_actors="unknown")
    assert path(target_actors="auto") == path(target_actors="known", clips_per_group=3)
    assert path(target_actors="unknown", reduce=99) == path(target_actors="unknown")
    others = [path(standardize="fold"), path(target_actors="unknown"), path(target_actors="pseudo"), path(reduce=2)]
    assert len({path(), *others}) == 5
    assert len(entries(tmp_path)) == 6  # and the aligned features


def test_labels_are_no_part_of_an_entry_but_folds_are(dataset: Dataset, cache: FeatureCache, tmp_path: Path) -> None:
    def relabel(rows: list[Row]) -> None:
        rows[0]["emotion_1"] = "sad"

    def refold(rows: list[Row]) -> None:
        for row in rows[:6]:
            row["fold"] = "1"

    def path(folder: Path) -> Path:
        return FeatureCache(load_dataset(folder), tmp_path / "cache").prepared("voice", 0).path

    plain = path(make_folder(tmp_path / "plain"))
    assert path(make_folder(tmp_path / "relabelled", spoil=relabel)) == plain
    assert path(make_folder(tmp_path / "refolded", spoil=refold)) != plain


def test_what_was_fitted_can_be_carried_to_new_clips(dataset: Dataset, cache: FeatureCache) -> None:
    prepared = cache.prepared("voice", 0, target_actors="unknown", reduce=3)
    raw = read_features(dataset.encoders["voice"], dataset.clips)
    target = dataset.clips.target
    np.testing.assert_allclose(
        prepared.preprocessing.apply(raw[target], np.zeros(len(target), np.int64)), prepared.values[target], atol=1e-5
    )
    assert prepared.identity is None
    assert cache.prepared("voice", 0, target_actors="pseudo").identity is not None


@pytest.mark.parametrize("content", [b"", b"half", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': Fal"])
def test_an_entry_that_cannot_be_read_is_built_again(cache: FeatureCache, content: bytes) -> None:
    first = cache.prepared("face", 0)
    expected = np.array(first.values)
    (first.path / "values.npy").unlink()  # the map keeps the old bytes
    (first.path / "values.npy").write_bytes(content)
    np.testing.assert_array_equal(cache.prepared("face", 0).values, expected)


def test_a_killed_builder_leaves_nothing_in_the_way(cache: FeatureCache) -> None:
    first = cache.prepared("face", 0)
    shutil.rmtree(first.path)
    partial = first.path.with_suffix(".partial")
    partial.mkdir()
    (partial / "values.npy").write_bytes(b"half")
    assert cache.prepared("face", 0).values.shape == (48, 5)
    assert not partial.exists()


def test_a_failed_build_leaves_no_entry(cache: FeatureCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rfe.data.cache, "prepare", fail)
    with pytest.raises(DataError, match=r"the feature cache .*No space left.*RFE_CACHE"):
        cache.prepared("face", 0)
    monkeypatch.undo()
    assert cache.prepared("face", 0).values.shape == (48, 5)


def _build(folder: Path, root: Path, queue: Any) -> None:
    queue.put(float(FeatureCache(load_dataset(folder), root).prepared("face", 0, target_actors="pseudo").values.sum()))


def test_processes_that_start_together_agree(dataset: Dataset, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")  # a fork would inherit the locks of OpenMP's threads
    queue = context.Queue()
    workers = [context.Process(target=_build, args=(dataset.path, tmp_path / "cache", queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    sums = {queue.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
    assert len(sums) == 1
    assert len(entries(tmp_path)) == 2


def test_bad_requests(cache: FeatureCache, dataset: Dataset) -> None:
    with pytest.raises(DataError, match="no encoder 'gaze'"):
        cache.prepared("gaze", 0)
    with pytest.raises(DataError, match="no fold 9"):
        cache.prepared("face", 9)
    with pytest.raises(DataError, match="'both' is neither fold nor actor"):
        cache.prepared("face", 0, standardize="both")


def test_a_file_that_changed_under_an_open_data_set_is_refused(cache: FeatureCache, dataset: Dataset) -> None:
    rows = make_rows()
    write_features(dataset.path / "voice_static_features.npz", draw_features(rows, 6, 7), names(rows))
    with pytest.raises(DataError, match="was changed after the data set was opened"):
        cache.prepared("voice", 0)


def test_fewer_training_actors_are_all_that_is_fitted_on(dataset: Dataset, cache: FeatureCache) -> None:
    clips, raw = dataset.clips, read_features(dataset.encoders["voice"], dataset.clips)
    prepared = cache.prepared("voice", 1, standardize="fold", training_actors=2)
    train = training_clips(clips, 1, 2)
    expected = (raw - raw[train].mean(0)) / raw[train].std(0)
    np.testing.assert_allclose(prepared.values, expected, rtol=1e-4, atol=1e-5)
    assert prepared.path != cache.prepared("voice", 1, standardize="fold").path
    assert prepared.path == cache.prepared("voice", 1, standardize="fold", training_actors=2).path
