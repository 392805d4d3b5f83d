import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rfe.data.dataset import load_dataset, read_features
from rfe.data.features import inspect_features
from rfe.errors import DataError
from tests.unit.data.folders import draw_features, make_folder, make_rows, names, write_features

VALUES = np.arange(6, dtype=np.float32).reshape(3, 2)
NAMES = np.array(["a", "b", "c"])


def save(path: Path, **arrays: NDArray[np.generic]) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_inspects_content_not_container(tmp_path: Path) -> None:
    plain = inspect_features(save(tmp_path / "a.npz", X=VALUES, filenames=NAMES))
    np.savez_compressed(tmp_path / "b.npz", X=np.asfortranarray(VALUES.astype(np.float64)), filenames=NAMES.astype("S"))
    other = inspect_features(tmp_path / "b.npz")
    assert plain.filenames == other.filenames == ("a", "b", "c")
    assert plain.sha256 == other.sha256
    assert plain.dim == 2
    changed = inspect_features(save(tmp_path / "c.npz", X=VALUES + 1, filenames=NAMES))
    assert changed.sha256 != plain.sha256


def test_counts_constant_columns_and_values_that_are_not_finite(tmp_path: Path) -> None:
    values = np.array([[1, 2, np.nan], [1, 3, np.inf], [1, 4, 5]])
    inspection = inspect_features(save(tmp_path / "a.npz", X=values, filenames=NAMES))
    assert inspection.constant_columns == 1
    assert inspection.non_finite.tolist() == [1, 1, 0]
    beyond_float32 = inspect_features(save(tmp_path / "b.npz", X=np.full((3, 1), 1e300), filenames=NAMES))
    assert beyond_float32.too_large.tolist() == [1, 1, 1]
    assert beyond_float32.non_finite.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"X": VALUES, "filenames": NAMES.astype(object)}, "filenames: an array of Python objects"),
        ({"X": VALUES.astype(object), "filenames": NAMES}, "X: an array of Python objects"),
        ({"X": VALUES}, r"no array 'filenames' \(it has: X\)"),
        ({"filenames": NAMES}, "no array 'X'"),
        ({"X": VALUES[:, 0], "filenames": NAMES}, r"X: 1 dimensions \[3\]; features are \[clip, feature\]"),
        ({"X": VALUES[:2], "filenames": NAMES}, r"X has 2 rows but filenames is \[3\]"),
        ({"X": VALUES[:0], "filenames": NAMES[:0]}, "is empty"),
        ({"X": VALUES[:, :0], "filenames": NAMES}, "is empty"),
        ({"X": VALUES.astype(np.complex64), "filenames": NAMES}, "values of type complex64; features are real numbers"),
        ({"X": VALUES, "filenames": np.arange(3)}, "clip names are text"),
        ({"X": VALUES, "filenames": np.array(["a", "b", "a"])}, "more than one row of the same clip: a"),
        ({"X": VALUES, "filenames": np.array(["a", "b", "a.mov"])}, "more than one row of the same clip"),
    ],
)
def test_every_fault_has_its_sentence(tmp_path: Path, arrays: dict[str, NDArray[np.generic]], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        inspect_features(save(tmp_path / "face.npz", **arrays))
    assert "face.npz" in str(caught.value)


@pytest.mark.parametrize("kept", [0, 1, 40, 300, -30, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = save(tmp_path / "face.npz", X=VALUES, filenames=NAMES)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="truncated or damaged"):
        inspect_features(path)


def test_flipped_bytes_are_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "face.npz", X=np.ones((500, 3), np.float32), filenames=np.arange(500).astype(str))
    content = bytearray(path.read_bytes())
    content[3000] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="truncated or damaged"):
        inspect_features(path)


@pytest.mark.parametrize("shape", ["(1000000000000, 1000000)", "(3, 40)", "(99999999999999999999999, 7)", "(-3, 2)"])
def test_an_absurd_header_is_refused_before_anything_is_allocated(tmp_path: Path, shape: str) -> None:
    buffer = io.BytesIO()
    np.save(buffer, VALUES)
    honest = buffer.getvalue()
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    lying = honest[:8] + len(header).to_bytes(2, "little") + header + honest[128:]
    path = tmp_path / "face.npz"
    buffer = io.BytesIO()
    np.save(buffer, NAMES)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", lying)
        archive.writestr("filenames.npy", buffer.getvalue())
    with pytest.raises(DataError, match="truncated or damaged"):
        inspect_features(path)


def test_more_than_the_machine_can_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rfe.data.arrays.machine_memory", lambda: 20)
    with pytest.raises(DataError, match="more than this machine has"):
        inspect_features(save(tmp_path / "face.npz", X=VALUES, filenames=NAMES))


def test_aligns_by_name_and_masks_what_is_missing(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    values = draw_features(rows)
    shuffled = np.random.default_rng(1).permutation(len(rows))[5:]
    filenames = [names(rows)[index] + ".npy" for index in shuffled]
    write_features(folder / "gaze.npz", values[shuffled], filenames)
    dataset = load_dataset(folder)
    gaze = dataset.encoders["gaze"]
    aligned = read_features(gaze, dataset.clips)
    assert aligned.dtype == np.float32
    assert gaze.available.sum() == len(rows) - 5
    np.testing.assert_array_equal(aligned[gaze.available], values[gaze.available])
    assert not aligned[~gaze.available].any()


def test_values_that_are_not_finite_are_named(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    dataset = load_dataset(folder)
    values = draw_features(rows)
    values[3, 0] = np.nan
    write_features(folder / "face_static_features.npz", values, names(rows))
    with pytest.raises(DataError, match=r"NaN or infinity for 1 clip; .*: A0_clip3"):
        read_features(dataset.encoders["face"], dataset.clips)


def test_values_that_do_not_fit_float32_are_not_called_infinite(tmp_path: Path) -> None:
    rows = make_rows()
    folder = make_folder(tmp_path, rows)
    dataset = load_dataset(folder)
    values = draw_features(rows).astype(np.float64)
    values[3, 0] = 1e300
    write_features(folder / "face_static_features.npz", values, names(rows))
    said = r"beyond 3.4e\+38, which do not fit float32, for 1 clip; scale the values, .*: A0_clip3"
    with pytest.raises(DataError, match=said):
        read_features(dataset.encoders["face"], dataset.clips)
    with pytest.raises(DataError, match=said):
        load_dataset(folder)
