"""`rfe data corrupt`: which clips show what, that the truth beside says so, and that the oracle masks just these."""

import json
from pathlib import Path

import numpy as np
import pytest

from rfe.data.check import check_folder
from rfe.data.corruption import CorruptionSpec, corrupt, wrong_features
from rfe.data.dataset import CORRUPTION_FILE, Dataset, load_dataset
from rfe.data.features import read_features
from rfe.data.simulate import SimulationSpec, simulate
from rfe.errors import ConfigError, DataError
from tests.tasks import EIGHT
from tests.unit.data.folders import make_folder, make_rows, write_features

ENCODERS = ("body", "face", "voice")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("data") / "whole", make_rows(6, 12, 2), ENCODERS)


def features(dataset: Dataset, encoder: str) -> np.ndarray:
    return read_features(dataset.encoders[encoder], dataset.clips)


def altered(folder: Path) -> dict[str, dict[str, str | None]]:
    found: dict[str, dict[str, str | None]] = json.loads((folder / CORRUPTION_FILE).read_text())["altered"]
    return found


def test_the_truth_says_what_each_clip_shows(source: Path, tmp_path: Path) -> None:
    report = corrupt(source, tmp_path / "wrong", CorruptionSpec(0.3, seed=4))
    before, after = load_dataset(source), load_dataset(tmp_path / "wrong")
    place = {name: index for index, name in enumerate(before.clips.filename.tolist())}
    assert after.clips.filename.tolist() == before.clips.filename.tolist()
    np.testing.assert_array_equal(after.clips.state, before.clips.state)
    truth = altered(tmp_path / "wrong")
    assert set(truth) == set(ENCODERS)
    for name, swaps in truth.items():
        expected = features(before, name).copy()
        for clip, other in swaps.items():
            assert other is not None
            assert other != clip
            assert before.clips.actor[place[other]] == before.clips.actor[place[clip]]
            expected[place[clip]] = features(before, name)[place[other]]
        np.testing.assert_array_equal(features(after, name), expected)
        assert report.altered[name] == len(swaps)
        assert len(swaps) == pytest.approx(0.3 * 96, abs=report.spared + 1)
    assert len({tuple(swaps) for swaps in truth.values()}) == 3  # each encoder's clips are drawn apart


def test_the_oracle_masks_the_clips_that_are_wrong(source: Path, tmp_path: Path) -> None:
    """Also where so many are drawn that some clips would lose every encoder."""
    swapped = corrupt(source, tmp_path / "wrong", CorruptionSpec(0.7, seed=4))
    masked = corrupt(source, tmp_path / "oracle", CorruptionSpec(0.7, seed=4, mode="mask"))
    assert swapped.spared == masked.spared > 0
    wrong, oracle = altered(tmp_path / "wrong"), altered(tmp_path / "oracle")
    assert {name: list(one) for name, one in wrong.items()} == {name: list(one) for name, one in oracle.items()}
    before, after = load_dataset(source), load_dataset(tmp_path / "oracle")
    for name in ENCODERS:
        gone = np.isin(after.clips.filename, list(oracle[name]))
        np.testing.assert_array_equal(after.encoders[name].available, ~gone)
        np.testing.assert_array_equal(features(after, name)[~gone], features(before, name)[~gone])
    assert np.any([one.available for one in after.encoders.values()], axis=0).all()


def test_reports_learn_which_features_are_wrong(source: Path, tmp_path: Path) -> None:
    corrupt(source, tmp_path / "wrong", CorruptionSpec(0.3, seed=4))
    corrupt(source, tmp_path / "oracle", CorruptionSpec(0.3, seed=4, mode="mask"))
    dataset = load_dataset(tmp_path / "wrong", ["voice", "face"])
    wrong = wrong_features(dataset)
    assert wrong is not None
    for column, name in enumerate(("face", "voice")):
        assert set(dataset.clips.filename[wrong[:, column]].tolist()) == set(altered(tmp_path / "wrong")[name])
    assert wrong_features(load_dataset(source)) is None
    assert wrong_features(load_dataset(tmp_path / "oracle")) is None
    (tmp_path / "wrong" / CORRUPTION_FILE).write_text("{}")
    with pytest.raises(DataError, match=r"corruption.json: cannot be read \(KeyError\('altered'\)\); make the folder"):
        wrong_features(dataset)


def test_seeds_share_nothing_and_equal_ones_everything(source: Path, tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    for folder, seed in ((first, 1), (again, 1), (other, 2)):
        corrupt(source, folder, CorruptionSpec(0.3, seed=seed))
    assert (first / CORRUPTION_FILE).read_bytes() == (again / CORRUPTION_FILE).read_bytes()
    assert altered(first) != altered(other)
    assert load_dataset(first).fingerprint == load_dataset(again).fingerprint != load_dataset(other).fingerprint


def test_every_report_says_that_it_is_corrupted(source: Path, tmp_path: Path) -> None:
    corrupt(source, tmp_path / "wrong", CorruptionSpec(0.3))
    report = check_folder(tmp_path / "wrong")
    assert report.usable
    assert not [one for one in report.warnings if "stray" in one]
    assert [one for one in report.caveats if "corrupted on purpose from whole" in one and "30%" in one]


def test_missing_encoders_stay_missing_and_are_no_source(tmp_path: Path) -> None:
    rows = make_rows(6, 12, 2)
    folder = make_folder(tmp_path / "holes", rows, ENCODERS)
    kept = [row["filename"] for index, row in enumerate(rows) if index % 3]
    write_features(folder / "face_static_features.npz", np.ones((len(kept), 4), np.float32), kept)
    corrupt(folder, tmp_path / "wrong", CorruptionSpec(0.5))
    before, after = load_dataset(folder), load_dataset(tmp_path / "wrong")
    np.testing.assert_array_equal(after.encoders["face"].available, before.encoders["face"].available)
    assert {*altered(tmp_path / "wrong")["face"], *altered(tmp_path / "wrong")["face"].values()} <= set(kept)


def test_without_actors_the_fold_is_the_group(tmp_path: Path) -> None:
    def anonymous(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["video_id"] = ""

    folder = make_folder(tmp_path / "anonymous", make_rows(6, 12, 2), ENCODERS, anonymous)
    with pytest.raises(DataError, match=r"video_id: empty for some clips.*--within fold"):
        corrupt(folder, tmp_path / "wrong", CorruptionSpec(0.3))
    assert not (tmp_path / "wrong").exists()
    corrupt(folder, tmp_path / "wrong", CorruptionSpec(0.3, within="fold"))
    clips = load_dataset(folder).clips
    fold = dict(zip(clips.filename.tolist(), clips.fold.tolist(), strict=True))
    for swaps in altered(tmp_path / "wrong").values():
        assert all(fold[clip] == fold[other or ""] for clip, other in swaps.items())


def test_labels_are_data_and_simulated_truth_goes_along(tmp_path: Path) -> None:
    simulate(SimulationSpec(actors=5, test_actors=1, clips_per_actor=12, task=EIGHT), tmp_path / "sim")
    corrupt(tmp_path / "sim", tmp_path / "wrong", CorruptionSpec(0.3))
    before, after = load_dataset(tmp_path / "sim"), load_dataset(tmp_path / "wrong")
    assert after.clips.task == before.clips.task == EIGHT
    assert after.simulated
    assert (tmp_path / "wrong" / "truth.json").read_bytes() == (tmp_path / "sim" / "truth.json").read_bytes()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 0.0}, "share: 0 is not between 0 and 1"),
        ({"share": 1.0}, "share: 1 is not between 0 and 1"),
        ({"share": float("nan")}, "share: nan is not between 0 and 1"),
        ({"share": 0.3, "seed": -1}, "seed: -1 is not between 0 and"),
        ({"share": 0.3, "mode": "noise"}, "mode: 'noise' is unknown; use swap or mask"),
        ({"share": 0.3, "within": "clip"}, "within: 'clip' is unknown; use actor or fold"),
    ],
)
def test_impossible_values_are_refused_with_a_sentence(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CorruptionSpec(**values)  # type: ignore[arg-type]


def test_what_cannot_be_is_refused_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not empty; name another folder"):
        corrupt(source, source, CorruptionSpec(0.3))
    with pytest.raises(DataError, match=r"share 0\.001 alters no clip of encoder body, which 96 clips have"):
        corrupt(source, tmp_path / "wrong", CorruptionSpec(0.001))
    alone = make_folder(tmp_path / "alone", make_rows(), ("face",))
    with pytest.raises(DataError, match="has one encoder; nothing is left to tell"):
        corrupt(alone, tmp_path / "wrong", CorruptionSpec(0.3))
    with pytest.raises(DataError, match="is not a folder"):
        corrupt(tmp_path / "nowhere", tmp_path / "wrong", CorruptionSpec(0.3))
    assert not (tmp_path / "wrong").exists()
