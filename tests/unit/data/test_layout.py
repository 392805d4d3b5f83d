"""The published layout is found at any depth, and what is ambiguous in it is refused."""

from pathlib import Path

import numpy as np
import pytest

from rfe.data.layout import read_published
from rfe.errors import DataError
from tests.unit.data.folders import draw_features, names, write_csv, write_features
from tests.unit.data.published import DIMS, ROWS, TEST, TRAIN, write_published


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The published layout one folder down."""
    write_published(tmp_path / "record" / "blemore")
    return tmp_path / "record"


def test_every_part_is_found(published: Path) -> None:
    layout = read_published(published)
    assert set(layout.metadata) == {"train_metadata.csv", "test_metadata.csv"}
    assert [files.encoder for files in layout.series] == sorted(DIMS)
    assert all(list(files.clips) == sorted(names(TRAIN)) + sorted(names(TEST)) for files in layout.series)
    assert list(layout.features) == ["hubert_static_features.npz"]
    assert layout.test_clips == tuple(sorted(names(TEST)))


def test_hidden_folders_and_what_macos_packs_are_passed_over(published: Path) -> None:
    before = read_published(published)
    for name in (".data.partial", "__MACOSX"):
        write_published(published / name)
    assert read_published(published) == before


def test_refuses_what_it_cannot_make_sense_of(published: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match=r"holds no train_metadata.csv"):
        read_published(tmp_path / "bare")
    write_csv(tmp_path / "bare" / "train_metadata.csv", TRAIN)
    with pytest.raises(DataError, match=r"holds no features: .* --mapping"):
        read_published(tmp_path / "bare")
    folder = published / "blemore" / "pre_extracted_test_data" / "ImageBind_test"
    np.save(folder / "A0_clip0.npy", np.zeros((6, 5)))
    with pytest.raises(DataError, match=r"ImageBind_test/A0_clip0.npy: a second series of clip A0_clip0, beside"):
        read_published(published)
    (folder / "A0_clip0.npy").unlink()
    write_features(published / "imagebind_static_features.npz", draw_features(ROWS), names(ROWS))
    with pytest.raises(DataError, match=r"imagebind_static_features.npz stand beside series"):
        read_published(published)
    write_csv(published / "train_metadata.csv", TRAIN)
    with pytest.raises(DataError, match=r"train_metadata.csv is there more than once"):
        read_published(published)
