from pathlib import Path

import numpy as np
import pytest

from rfe.data.dataset import load_dataset
from rfe.errors import DataError
from tests.unit.data.folders import Row, draw_features, make_folder, make_rows, names, write_csv, write_features


def test_loads_encoders_sorted_by_name_in_both_file_forms(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path / "mine", rows, ["voice", "face"])
    write_features(folder / "gaze.npz", draw_features(rows), names(rows))
    dataset = load_dataset(folder)
    assert list(dataset.encoders) == ["face", "gaze", "voice"]
    assert dataset.encoders["face"].dim == 6
    assert dataset.encoders["gaze"].available.all()
    assert dataset.name == "mine"
    assert not dataset.simulated
    assert dataset.caveats == ()


def test_a_selection_leaves_other_files_alone(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "voice_static_features.npz").write_bytes(b"broken")
    assert list(load_dataset(folder, ["face"]).encoders) == ["face"]
    with pytest.raises(DataError, match=r"unknown encoder 'fce'; did you mean face\?$"):
        load_dataset(folder, ["fce"])
    with pytest.raises(DataError, match=r"unknown encoder 'smell'; known are face, voice$"):
        load_dataset(folder, ["smell"])


def test_the_fingerprint_follows_content(tmp_path: Path) -> None:
    rows = make_rows()
    first = load_dataset(make_folder(tmp_path / "a", rows)).fingerprint
    assert load_dataset(make_folder(tmp_path / "b", make_rows())).fingerprint == first
    assert len(first) == 16

    def relabel(rows: list[Row]) -> None:
        rows[0]["emotion_1"] = "sad"

    def refold(rows: list[Row]) -> None:
        for row in rows[:6]:
            row["fold"] = "2"

    folder = make_folder(tmp_path / "c")
    write_features(folder / "face_static_features.npz", draw_features(rows, 5, 9), names(rows))
    others = [
        load_dataset(make_folder(tmp_path / "d", spoil=relabel)),
        load_dataset(make_folder(tmp_path / "e", spoil=refold)),
        load_dataset(folder),
        load_dataset(folder, ["voice"]),
    ]
    assert len({first, *(other.fingerprint for other in others)}) == 5


def test_problems_of_all_files_come_in_one_message(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    rows[0]["emotion_1"] = "joy"
    write_csv(folder / "metadata.csv", rows)
    (folder / "face_static_features.npz").write_bytes(b"broken")
    (folder / "dataset.yaml").write_text("simulated: perhaps\ncaveat: [x]\n")
    with pytest.raises(DataError) as caught:
        load_dataset(folder)
    message = str(caught.value)
    for part in ("4 problems", "'joy'", "face_static_features.npz: truncated", "simulated: 'perhaps'", "caveat"):
        assert part in message


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is not a folder"):
        load_dataset(tmp_path / name)


def test_no_feature_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no feature files: expected"):
        load_dataset(make_folder(tmp_path, encoders=()))


def test_two_files_of_one_encoder(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "face.npz").write_bytes((folder / "face_static_features.npz").read_bytes())
    with pytest.raises(DataError, match=r"face.npz and face_static_features.npz both name encoder 'face'"):
        load_dataset(folder)


def test_a_clip_must_have_features_in_some_encoder(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    write_features(folder / "face_static_features.npz", draw_features(rows)[1:], names(rows)[1:])
    available = load_dataset(folder).encoders["face"].available
    assert available.tolist() == [False] + [True] * (len(rows) - 1)
    with pytest.raises(DataError, match=r"without features in any encoder .* \(1 clip: A0_clip0\)"):
        load_dataset(folder, ["face"])


def test_names_that_never_match(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    write_features(folder / "gaze.npz", draw_features(rows), [f"clip/{name}" for name in names(rows)])
    with pytest.raises(DataError, match=r"gaze.npz, filenames: none of its names is a clip .*clip/A0_clip0"):
        load_dataset(folder)


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    values = draw_features(rows)
    values[:4, 1] = [np.nan, np.inf, -np.inf, np.nan]
    write_features(folder / "gaze.npz", values, names(rows))
    with pytest.raises(DataError, match=r"gaze.npz, X holds NaN or infinity for 4 clips; .*A0_clip2 and 1 more"):
        load_dataset(folder)
    stray = [*names(rows)[4:], "other0", "other1", "other2", "other3"]
    write_features(folder / "gaze.npz", np.roll(values, -4, axis=0), stray)
    assert load_dataset(folder).encoders["gaze"].available.sum() == len(rows) - 4


def test_description_and_known_caveats(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a", encoders=["face", "hicmae_new"])
    assert load_dataset(folder).caveats[0].startswith("level-1 features: training-fold inputs were made by models")
    assert load_dataset(make_folder(tmp_path / "cremad_votes")).caveats == (
        "saliences are binned vote shares with rater noise.",
    )
    (folder / "truth.json").write_text("{}")
    (folder / "dataset.yaml").write_text("name: votes\ncaveats: [only a pilot.]\n")
    dataset = load_dataset(folder)
    assert dataset.name == "votes"
    assert dataset.simulated
    assert dataset.caveats[0].startswith("simulated data")
    assert "only a pilot." in dataset.caveats
    (folder / "dataset.yaml").write_text("simulated: false\n")
    assert not load_dataset(folder).simulated
