from pathlib import Path

import numpy as np
import pytest

from rfe.data.dataset import load_dataset
from rfe.data.importing import import_published
from rfe.errors import DataError
from tests.unit.data.folders import draw_features, make_rows, names, write_csv, write_features

ROWS = make_rows()
TRAIN, TEST = ROWS[:36], ROWS[36:]


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The published layout one folder down, with two series encoders and one that was aggregated before."""
    root = tmp_path / "record" / "blemore"
    stream = np.random.default_rng(0)
    for encoder, suffix in (("ImageBind", ".npy"), ("OpenFace3", ".csv")):
        for split, rows in (("train", TRAIN), ("test", TEST)):
            folder = root / f"pre_extracted_{split}_data" / f"{encoder}_{split}"
            folder.mkdir(parents=True)
            for name in names(rows):
                series = stream.normal(size=(3, 2)).astype(np.float32)
                if suffix == ".npy":
                    np.save(folder / f"{name}.npy", series)
                else:
                    lines = [",".join(map(str, frame)) for frame in series]
                    (folder / f"{name}.csv").write_text("\n".join(["gaze_yaw,gaze_pitch", *lines]))
    write_features(root / "hubert_static_features.npz", draw_features(ROWS), names(ROWS))
    columns = [column for column in TRAIN[0] if column != "split"]
    write_csv(root / "train_metadata.csv", [{column: row[column] for column in columns} for row in TRAIN])
    write_csv(root / "test_metadata.csv", [{"filename": f"{name}.mov"} for name in names(TEST)])
    return tmp_path / "record"


def test_makes_a_data_folder_with_test_clips(published: Path, tmp_path: Path) -> None:
    report = import_published(published, tmp_path / "data")
    assert report.check.usable
    made = [(one.encoder, one.clips, one.dim) for one in report.aggregated]
    assert made == [("imagebind", 48, 14), ("openface3", 48, 14)]
    assert all(one.path.is_file() for one in report.aggregated)
    assert report.copied == ("hubert_static_features.npz",)
    assert report.notes == ()
    dataset = load_dataset(tmp_path / "data")
    assert (dataset.clips.n_source, dataset.clips.n_target) == (36, 12)
    assert all(encoder.available.all() for encoder in dataset.encoders.values())


def test_test_clips_without_metadata_are_those_that_have_series(published: Path, tmp_path: Path) -> None:
    (published / "blemore" / "test_metadata.csv").unlink()
    report = import_published(published, tmp_path / "data")
    assert "its 12 clips were taken from the names of the test series" in report.notes[0]
    assert load_dataset(tmp_path / "data").clips.filename[36:].tolist() == sorted(names(TEST))


def test_a_clip_without_series_is_masked(published: Path, tmp_path: Path) -> None:
    next((published / "blemore").rglob("A0_clip0.npy")).unlink()
    assert import_published(published, tmp_path / "data").check.usable
    assert not load_dataset(tmp_path / "data").encoders["imagebind"].available[0]


def test_a_fault_leaves_nothing_behind(published: Path, tmp_path: Path) -> None:
    next((published / "blemore").rglob("A0_clip0.npy")).write_bytes(b"half")
    with pytest.raises(DataError, match=r"A0_clip0.npy: truncated"):
        import_published(published, tmp_path / "data")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["record"]


def test_refuses_what_it_cannot_make_sense_of(published: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        import_published(tmp_path / "nowhere", tmp_path / "data")
    with pytest.raises(DataError, match="exists and is not empty"):
        import_published(published, published)
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match=r"holds no train_metadata.csv"):
        import_published(tmp_path / "bare", tmp_path / "data")
    write_csv(tmp_path / "bare" / "train_metadata.csv", TRAIN)
    with pytest.raises(DataError, match="holds no features"):
        import_published(tmp_path / "bare", tmp_path / "data")
    write_features(published / "imagebind_static_features.npz", draw_features(ROWS), names(ROWS))
    with pytest.raises(DataError, match=r"imagebind_static_features.npz stand beside series"):
        import_published(published, tmp_path / "data")
    write_csv(published / "train_metadata.csv", TRAIN)
    with pytest.raises(DataError, match=r"train_metadata.csv is there more than once"):
        import_published(published, tmp_path / "data")
