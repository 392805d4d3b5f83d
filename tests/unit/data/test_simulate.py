import csv
import json
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from rfe.data.simulate import EncoderSpec, SimulationSpec, build_world, simulate
from rfe.data.simulation import encoders as encoders_module
from rfe.data.simulation.encoders import iterate_features
from rfe.errors import ConfigError
from rfe.progress import SilentProgress
from rfe.task import BLEMORE

SMALL = SimulationSpec(actors=10, test_actors=4, clips_per_actor=18)


def read_rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metadata.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_npz(folder: Path, encoder: str) -> tuple[NDArray[np.float32], list[str]]:
    with np.load(folder / f"{encoder}_static_features.npz", allow_pickle=False) as file:
        assert set(file.files) == {"X", "filenames"}
        assert file["X"].dtype == np.float32
        assert file["filenames"].dtype.kind == "U"
        return file["X"], file["filenames"].tolist()


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(SimulationSpec(), tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(SMALL, tmp_path_factory.mktemp("small"))


def test_official_counts(official: Path) -> None:
    rows = read_rows(official)
    train = [row for row in rows if row["split"] == "train"]
    assert (len(train), len(rows) - len(train)) == (2456, 594)
    by_fold = Counter((row["fold"], row["mix"]) for row in train)
    singles_blends = [(by_fold[str(k), "0"], by_fold[str(k), "1"]) for k in range(5)]
    assert singles_blends == [(242, 280), (216, 270), (228, 240), (232, 240), (212, 296)]
    actors = {row["video_id"]: row["fold"] for row in train}
    assert [list(actors.values()).count(str(k)) for k in range(5)] == [10, 9, 9, 9, 10]
    per_actor = Counter(row["video_id"] for row in train)
    assert sum(count == 54 for count in per_actor.values()) >= 36
    test_actors = Counter(row["video_id"] for row in rows if row["split"] == "test")
    assert list(test_actors.values()) == [54] * 11
    assert len({row["filename"] for row in rows}) == len(rows)


def test_names_say_what_the_columns_say(official: Path) -> None:
    for row in read_rows(official):
        if row["split"] == "test":
            continue
        if row["mix"] == "1":
            parts = ["mix", row["emotion_1"], row["emotion_2"], row["emotion_1_salience"], row["emotion_2_salience"]]
            saliences = {row["emotion_1"]: float(parts[3]), row["emotion_2"]: float(parts[4])}
            assert BLEMORE.state_is_blend[BLEMORE.state_index(saliences)]
            assert row["emotion_1"] < row["emotion_2"]
            assert row["intensity_level"] == row["situation"] == ""
        elif row["emotion_1"] == "neu":
            parts = ["neu", f"sit{row['situation']}"]
        else:
            parts = [row["emotion_1"], f"int{row['intensity_level']}"]
            assert row["emotion_1"] in BLEMORE.classes
        assert row["filename"] == "_".join([row["video_id"], *parts, f"ver{row['version']}"])


def test_test_clips_tell_their_actor_and_nothing_else(small: Path) -> None:
    test = [row for row in read_rows(small) if row["split"] == "test"]
    assert [row["filename"] for row in test] == [f"test_{number:04d}" for number in range(1, 4 * 18 + 1)]
    for row in test:
        told = {name for name, value in row.items() if value}
        assert told == {"filename", "video_id", "split"}
    # The order of the names must not follow the actors.
    actors = [row["video_id"] for row in test]
    assert actors != sorted(actors)


def test_anonymous_actors(tmp_path: Path) -> None:
    folder = simulate(replace(SMALL, anonymous_actors=True), tmp_path)
    rows = read_rows(folder)
    assert {row["video_id"] for row in rows if row["split"] == "test"} == {""}
    assert all(row["video_id"] for row in rows if row["split"] == "train")


def test_feature_files(small: Path) -> None:
    names = [row["filename"] for row in read_rows(small)]
    for encoder in encoders_module.DEMO_ENCODERS:
        features, filenames = read_npz(small, encoder.name)
        assert features.shape == (len(names), 63)
        assert filenames == names
        assert np.isfinite(features).all()
    assert not list(small.glob("*.part*"))


def test_same_seed_same_bytes(small: Path, tmp_path: Path) -> None:
    again = simulate(SMALL, tmp_path / "again")
    other = simulate(replace(SMALL, seed=1), tmp_path / "other")
    files = sorted(path.name for path in small.iterdir())
    assert files == sorted(path.name for path in again.iterdir())
    for name in files:
        assert (small / name).read_bytes() == (again / name).read_bytes()
    assert (small / "noise_static_features.npz").read_bytes() != (other / "noise_static_features.npz").read_bytes()


def test_an_encoder_does_not_depend_on_its_neighbours(small: Path, tmp_path: Path) -> None:
    alone = simulate(replace(SMALL, encoders=(encoders_module.DEMO_ENCODERS[1],), shift="none"), tmp_path / "alone")
    beside = simulate(replace(SMALL, shift="none"), tmp_path / "beside")
    np.testing.assert_array_equal(read_npz(alone, "audio_strong")[0], read_npz(beside, "audio_strong")[0])


def test_training_clips_do_not_depend_on_the_test_actors(small: Path, tmp_path: Path) -> None:
    n_train = 10 * 18
    fewer = simulate(replace(SMALL, test_actors=1, shift="strong"), tmp_path)
    assert read_rows(fewer)[:n_train] == read_rows(small)[:n_train]
    for encoder in ("video_strong", "video_copy", "noise"):
        np.testing.assert_array_equal(read_npz(fewer, encoder)[0][:n_train], read_npz(small, encoder)[0][:n_train])


def test_pieces_do_not_change_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = EncoderSpec("wide", "strong", "video", channels=16)
    world = build_world(replace(SMALL, encoders=(wide,)))
    whole = np.concatenate(list(iterate_features(world.views[0], world.lengths, 0)))
    monkeypatch.setattr(encoders_module, "CHUNK_BYTES", 7 * 4 * 60 * 16)
    pieces = list(iterate_features(world.views[0], world.lengths, 0))
    assert len(pieces) > 10
    assert whole.shape == (14 * 18, 7 * 16)
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=1e-5, atol=1e-5)


def test_full_size_has_the_published_widths() -> None:
    widths = {encoder.name: encoder.dim for encoder in SimulationSpec(size="full").encoder_specs}
    assert widths == {
        "imagebind": 7168,
        "videomaev2": 9856,
        "hubert": 7168,
        "wavlm": 7168,
        "hicmae": 14336,
        "openface3": 77,
        "clip": 3584,
    }


def between_actor_share(features: NDArray[np.float32], actor: NDArray[np.int64]) -> float:
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    means = np.stack([standard[actor == one].mean(axis=0) for one in np.unique(actor)])
    return float(means.var(axis=0).mean())


def test_actors_dominate_every_encoder(official: Path) -> None:
    names = [row["video_id"] for row in read_rows(official) if row["split"] == "train"]
    actor = np.unique(names, return_inverse=True)[1]
    for encoder in encoders_module.DEMO_ENCODERS:
        features = read_npz(official, encoder.name)[0][: len(names)]
        levels = np.delete(features.reshape(-1, 7, 9), 1, axis=1).reshape(len(names), -1)  # without the deviations
        assert between_actor_share(levels, actor) > 0.5, encoder.name


def explained_by_label(features: NDArray[np.float32], actor: NDArray[np.int64], label: NDArray[np.int64]) -> float:
    """Variance between sets relative to what chance gives, with each actor's mean removed; 1 is chance."""
    centred = features.astype(np.float64).copy()
    for one in np.unique(actor):
        centred[actor == one] -= centred[actor == one].mean(axis=0)
    groups = [centred[label == one] for one in np.unique(label)]
    between = sum(len(group) * np.square(group.mean(axis=0)) for group in groups) / (len(groups) - 1)
    within = sum(np.square(group - group.mean(axis=0)).sum(axis=0) for group in groups) / (len(label) - len(groups))
    return float((between / within).mean())


def test_noise_knows_nothing_and_strong_knows_most(official: Path) -> None:
    truth = json.loads((official / "truth.json").read_text())
    n_train = 2456
    label = BLEMORE.state_set[np.array(truth["clips"]["state"][:n_train])]
    actor = np.unique(truth["clips"]["video_id"][:n_train], return_inverse=True)[1]
    ratio = {
        encoder.name: explained_by_label(read_npz(official, encoder.name)[0][:n_train], actor, label)
        for encoder in encoders_module.DEMO_ENCODERS
    }
    assert ratio["noise"] == pytest.approx(1.0, abs=0.35)
    assert ratio["video_strong"] > ratio["video_medium"] > ratio["noise"] + 1
    assert ratio["audio_strong"] > ratio["audio_weak"] > ratio["noise"]


def test_a_copy_shares_its_sources_noise(official: Path) -> None:
    truth = json.loads((official / "truth.json").read_text())
    actor = np.unique(truth["clips"]["video_id"], return_inverse=True)[1]

    def within(encoder: str) -> NDArray[np.float64]:
        features = read_npz(official, encoder)[0][:, :9].astype(np.float64)
        return features - np.stack([features[actor == one].mean(axis=0) for one in range(actor.max() + 1)])[actor]

    def correlation(first: str, second: str) -> float:
        pairs = zip(within(first).T, within(second).T, strict=True)
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs]))

    assert correlation("video_strong", "video_copy") > 0.85
    assert abs(correlation("video_strong", "noise")) < 0.1


def test_reliability_is_bursty_and_apart_between_encoders() -> None:
    world = build_world(SimulationSpec())
    views = {view.spec.name: view for view in world.views}
    assert (views["noise"].reliability == 0).all()
    skeleton = world.skeleton
    order = np.lexsort((skeleton.recording, skeleton.actor))
    video, audio = (views[name].noise > 1 for name in ("video_strong", "audio_strong"))
    same_actor = np.diff(skeleton.actor[order]) == 0
    sequence = video[order]
    after_bad = sequence[1:][same_actor & sequence[:-1]].mean()
    assert after_bad == pytest.approx(1 - 1 / encoders_module.RUN_LENGTH, abs=0.06)
    assert 0.1 < video.mean() < 0.5
    assert after_bad > video.mean() + 0.2
    assert abs(np.corrcoef(video, audio)[0, 1]) < 0.1
    reliability = views["video_strong"].reliability
    assert reliability[video].mean() < 0.5 * reliability[~video].mean()


@pytest.mark.parametrize("size", ["demo", "full"])
def test_shift_moves_test_actors_only(size: str) -> None:
    spec = SimulationSpec(actors=10, test_actors=40, clips_per_actor=6, size=size)  # type: ignore[arg-type]
    none, strong = (build_world(replace(spec, shift=shift)) for shift in ("none", "strong"))  # type: ignore[arg-type]
    n_train = none.skeleton.n_train
    for before, after in zip(none.views, strong.views, strict=True):
        np.testing.assert_array_equal(before.steady[:n_train], after.steady[:n_train])
        # The least: the encoder whose content also shrinks.
        assert after.steady[n_train:].std() > 1.05 * before.steady[n_train:].std()
    changed = strong.views[0].reliability[n_train:] / none.views[0].reliability[n_train:]
    np.testing.assert_allclose(changed, encoders_module.SHIFT_GAIN["strong"])
    np.testing.assert_array_equal(strong.views[2].reliability, none.views[2].reliability)


def test_missing_clips(tmp_path: Path) -> None:
    folder = simulate(replace(SMALL, missing=0.2), tmp_path)
    present = [set(read_npz(folder, encoder.name)[1]) for encoder in encoders_module.DEMO_ENCODERS]
    n_clips = len(read_rows(folder))
    for names in present:
        assert 0.7 * n_clips < len(names) < 0.9 * n_clips
    assert present[0] != present[1]
    whole = read_npz(simulate(SMALL, tmp_path / "whole"), "noise")
    row = dict(zip(whole[1], whole[0], strict=True))
    for features, name in zip(*read_npz(folder, "noise"), strict=True):
        np.testing.assert_array_equal(features, row[name])


def test_truth_is_complete(small: Path) -> None:
    truth = json.loads((small / "truth.json").read_text())
    rows = read_rows(small)
    assert truth["simulated"] is True
    assert truth["encoders"]["noise"]["kind"] == "noise"
    assert truth["encoders"]["video_copy"]["copies"] == "video_strong"
    assert (
        truth["encoders"]["video_strong"]["visibility"]["hap"] > truth["encoders"]["audio_strong"]["visibility"]["hap"]
    )
    assert (
        truth["encoders"]["audio_strong"]["visibility"]["disg"]
        > truth["encoders"]["video_strong"]["visibility"]["disg"]
    )
    assert truth["clips"]["filename"] == [row["filename"] for row in rows]
    for encoder in truth["encoders"]:
        assert len(truth["clips"]["reliability"][encoder]) == len(rows)
    assert np.array(truth["geometry"]["class_means"]).shape == (6, 6)
    assert truth["shift"]["name"] == "mild"
    labels = truth["test_labels"]
    assert list(labels) == [row["filename"] for row in rows if row["split"] == "test"]
    states = [BLEMORE.state_index(label) for label in labels.values()]
    assert states == truth["clips"]["state"][-len(states) :]
    assert len(set(states)) > 20


def test_the_oracle_is_a_ceiling_below_one(official: Path) -> None:
    oracle = json.loads((official / "truth.json").read_text())["oracle"]
    assert oracle["train"]["clips"] == 2456
    assert oracle["test"]["clips"] == 594
    for part in ("train", "test"):
        assert 0.3 < oracle[part]["score"] < 0.9


def test_no_test_actors(tmp_path: Path) -> None:
    folder = simulate(replace(SMALL, test_actors=0), tmp_path)
    truth = json.loads((folder / "truth.json").read_text())
    assert truth["test_labels"] == {}
    assert truth["oracle"]["test"]["score"] is None
    assert {row["split"] for row in read_rows(folder)} == {"train"}


def test_small_skeletons_keep_every_set(small: Path) -> None:
    truth = json.loads((small / "truth.json").read_text())
    sets = BLEMORE.state_set[np.array(truth["clips"]["state"])]
    assert set(np.bincount(sets, minlength=16)[6:].tolist()) == {14}  # each of 14 actors shows each pair once
    assert len(sets) == 14 * 18


def test_impossible_values_are_all_named() -> None:
    bad = SimulationSpec(
        actors=4,
        test_actors=-1,
        clips_per_actor=55,
        shift="huge",  # type: ignore[arg-type]
        missing=1.0,
        seed=-3,
        encoders=(EncoderSpec("a/b", "strong"), EncoderSpec("copy", "redundant", copies="nobody")),
    )
    with pytest.raises(ConfigError) as caught:
        build_world(bad)
    message = str(caught.value)
    for part in (
        "actors: 4",
        "test_actors: -1",
        "clips_per_actor: 55",
        "huge",
        "missing: 1",
        "seed: -3",
        "a/b",
        "nobody",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (replace(SMALL, actors=4000), "actors: 4000 makes 72,072 clips with 18 of each actor"),
        (replace(SMALL, test_actors=4000), "test_actors: 4000 makes 72,180 clips"),
        (replace(SMALL, size="full"), "GiB on the disk of .*; use fewer actors or clips_per_actor, or size demo"),
    ],
)
def test_more_than_there_is_room_for_is_refused_at_once(
    spec: SimulationSpec, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rfe.data.simulation.room.shutil.disk_usage", lambda _: SimpleNamespace(free=2**24))
    monkeypatch.setattr("rfe.data.simulation.room.free_memory", lambda: 2**26)
    with pytest.raises(ConfigError, match=said):
        simulate(spec, tmp_path / "sim")
    assert not (tmp_path / "sim").exists()
    simulate(SMALL, tmp_path / "sim")


def test_progress_is_shown_from_the_first_actor_to_the_truth(tmp_path: Path) -> None:
    told: list[tuple[str, int | None] | int] = []

    class Told(SilentProgress):
        def start(self, title: str, total: int | None = None) -> None:
            told.append((title, total))

        def update(self, status: object) -> None:
            assert isinstance(status, int)
            told.append(status)

    simulate(SMALL, tmp_path, Told())
    n_actors, n_encoders = 14, len(encoders_module.DEMO_ENCODERS)
    steps = n_actors + n_encoders
    assert told[: steps + 1] == [("laying out 252 clips", steps), *range(1, steps + 1)]
    assert told[steps + 1 :] == [("simulating 252 clips", n_encoders + 1), *range(1, n_encoders + 2)]


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)
    with pytest.raises(OSError, match="disk full"):
        simulate(SMALL, tmp_path)
    assert not list(tmp_path.glob("*.npz"))
    assert not list(tmp_path.parent.glob(".*.partial"))


def test_nothing_that_is_there_already_is_replaced(tmp_path: Path) -> None:
    folder = simulate(SMALL, tmp_path / "sim")
    mine = folder / "metadata.csv"
    mine.write_text("mine")
    assert simulate(SMALL, folder) == folder  # the same command again
    assert mine.read_text() == "mine"
    next(folder.glob("*.npz")).rename(tmp_path / "aside.npz")
    with pytest.raises(ConfigError, match=r"lacks .*npz of this set"):
        simulate(SMALL, folder)
    for spec, what in ((replace(SMALL, seed=1), "another simulated data set"), (SMALL, "something else")):
        if what == "something else":
            (folder / "truth.json").unlink()
        with pytest.raises(ConfigError, match=f"holds {what}; name another folder"):
            simulate(spec, folder)
        assert mine.read_text() == "mine"
    for place in (mine, mine / "deeper" / "sim"):
        with pytest.raises(ConfigError, match="is a file; name another folder"):
            simulate(SMALL, place)
