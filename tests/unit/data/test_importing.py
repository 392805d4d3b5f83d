"""Folders into a data folder: whole or not at all, going on after a kill, and honest about what is not in it."""

import errno
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from rfe.data import aggregation, parts
from rfe.data.dataset import load_dataset
from rfe.data.importing import NO_FILE, NOT_A_CLIP, import_folder
from rfe.data.series import DAMAGED, NO_FRAME
from rfe.errors import DataError
from tests.unit.data.folders import names, write_csv
from tests.unit.data.published import DIMS, TEST, TRAIN, break_clips, write_published

PARTS_EACH = 2
"""Of 48 clips."""
KILLED = """
import os, signal, sys
from pathlib import Path
from rfe.data import importing, parts

save, left = parts.np.savez, [int(sys.argv[3])]

def savez(path, **arrays):
    if not left[0]:
        Path(path).write_bytes(b"PK half of a part")
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    save(path, **arrays)

parts.np.savez = savez
importing.import_folder(Path(sys.argv[1]), Path(sys.argv[2]), workers=1)
"""


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return write_published(tmp_path / "record" / "blemore").parent


def test_makes_a_data_folder_with_test_clips(published: Path, tmp_path: Path) -> None:
    report = import_folder(published, tmp_path / "data")
    assert report.check.usable
    assert {one.encoder: (one.clips, one.dim) for one in report.aggregated} == {
        name: (48, dim) for name, dim in DIMS.items()
    }
    assert all(one.path.is_file() and one.skipped == {} for one in report.aggregated)
    assert (report.copied, report.notes, report.resumed) == (("hubert_static_features.npz",), (), 0)
    dataset = load_dataset(tmp_path / "data")
    assert (dataset.clips.n_source, dataset.clips.n_target) == (36, 12)
    assert all(encoder.available.all() for encoder in dataset.encoders.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "record"]


def test_what_is_skipped_is_masked_and_counted_by_reason(published: Path, tmp_path: Path) -> None:
    break_clips(published / "blemore")
    report = import_folder(published, tmp_path / "data")
    assert report.check.usable
    made = {one.encoder: one for one in report.aggregated}
    assert made["imagebind"].skipped == {
        NO_FILE: ("A0_clip0",),
        NOT_A_CLIP: ("A0_clip0 (copy)",),
        DAMAGED: ("A0_clip1",),
        "Python objects, which only pickle could load (unsafe)": ("A1_clip0",),
    }
    assert made["imagebind"].ignored == ("Thumbs.db",)
    assert (made["openface_3"].skipped, made["openface_3"].clips) == ({NO_FRAME: ("T0_clip3",)}, 47)
    encoder = load_dataset(tmp_path / "data").encoders["imagebind"]
    assert (~encoder.available).sum() == 3


def test_test_clips_without_metadata_are_those_that_have_series(published: Path, tmp_path: Path) -> None:
    (published / "blemore" / "test_metadata.csv").unlink()
    report = import_folder(published, tmp_path / "data")
    assert "its 12 clips were taken from the names of the test series" in report.notes[0]
    assert load_dataset(tmp_path / "data").clips.filename[36:].tolist() == sorted(names(TEST))


@pytest.mark.parametrize("whole_parts", [0, 3, 5 * PARTS_EACH - 1])
def test_a_killed_import_goes_on_with_what_is_done(whole_parts: int, published: Path, tmp_path: Path) -> None:
    import_folder(published, tmp_path / "uninterrupted")
    command = [sys.executable, "-c", KILLED, published, tmp_path / "data", str(whole_parts)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "data").exists()
    report = import_folder(published, tmp_path / "data")
    sizes = [parts.CLIPS_PER_PART, 48 - parts.CLIPS_PER_PART] * 5
    assert report.resumed == sum(sizes[:whole_parts])
    for path in (tmp_path / "uninterrupted").iterdir():
        assert (tmp_path / "data" / path.name).read_bytes() == path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "record", "uninterrupted"]


def test_what_changed_meanwhile_is_done_again(published: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, published, tmp_path / "data", str(PARTS_EACH)]
    subprocess.run(command, check=False)
    changed = published / "blemore" / "pre_extracted_train_data" / "HiCMAE_train" / "A0_clip0.npy"
    changed.write_bytes(changed.with_name("A0_clip1.npy").read_bytes())
    report = import_folder(published, tmp_path / "data")
    assert report.resumed == 48 - parts.CLIPS_PER_PART


def test_an_encoder_without_usable_clips_is_refused_and_the_others_are_kept(published: Path, tmp_path: Path) -> None:
    for path in published.rglob("WavLM_large_*/*.npy"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"(?s)wavlm_large: no clip has a series .* resumes") as caught:
        import_folder(published, tmp_path / "data")
    assert str(tmp_path / ".data.partial") in str(caught.value)
    assert not (tmp_path / "data").exists()
    for folder in list(published.rglob("WavLM_large_*")):
        shutil.rmtree(folder)
    assert import_folder(published, tmp_path / "data").resumed == 4 * 48


def test_a_full_disk_is_said_and_what_is_done_is_kept(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_part, made = aggregation.make_part, []

    def make_until_full(part: parts.ClipPart) -> parts.PartSummary:
        if len(made) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        made.append(part)
        return make_part(part)

    monkeypatch.setattr(aggregation, "make_part", make_until_full)
    with pytest.raises(DataError, match=r"the disk is full; make room\ncompleted parts are kept in .*\.data\.partial"):
        import_folder(published, tmp_path / "data", workers=1)
    monkeypatch.undo()
    assert import_folder(published, tmp_path / "data").resumed == 48 + parts.CLIPS_PER_PART


def test_faults_of_the_metadata_are_told_before_series_are_read(published: Path, tmp_path: Path) -> None:
    rows = [dict(row) for row in TRAIN]
    rows[0]["emotion_1"] = "anger"
    write_csv(published / "blemore" / "train_metadata.csv", rows)
    next(published.rglob("*.npy")).write_bytes(b"half")
    with pytest.raises(DataError, match="unknown class 'anger'; write ang"):
        import_folder(published, tmp_path / "data")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["record"]


def test_refuses_a_place_that_is_taken(published: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        import_folder(tmp_path / "nowhere", tmp_path / "data")
    with pytest.raises(DataError, match="exists and is not empty"):
        import_folder(published, published)
    (tmp_path / ".data.partial").mkdir()
    with (
        FileLock(tmp_path / ".data.partial" / "lock"),
        pytest.raises(DataError, match="another import is writing"),
    ):
        import_folder(published, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_refused_import_leaves_nothing_beside_what_was_there(tmp_path: Path) -> None:
    record = write_published(tmp_path / "record", {"ImageBind": (1, 6, 5)})
    for path in record.glob("hubert*"):
        path.unlink()
    with pytest.raises(DataError, match=r"write time_axis: 1 in the mapping"):
        import_folder(record, tmp_path / "new" / "deep" / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["record"]


def test_linked_folders_of_series_are_followed(published: Path, tmp_path: Path) -> None:
    folder = published / "blemore" / "pre_extracted_train_data"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    report = import_folder(published, tmp_path / "data")
    assert all(one.clips == 48 for one in report.aggregated)


def test_clips_under_other_names_are_refused_with_the_reason(tmp_path: Path) -> None:
    record = write_published(tmp_path / "record", {"ImageBind": (6, 5)})
    for path in list(record.rglob("*.npy")):
        path.rename(path.with_name(path.name.upper().replace(".NPY", ".npy")))
    with pytest.raises(
        DataError, match=r"none of its 48 clips is one of the metadata .* they differ in capital letters"
    ):
        import_folder(record, tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["record"]
