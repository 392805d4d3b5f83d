"""Data folders named by a URI: fetched once, again when changed, and refused in a sentence."""

from pathlib import Path

import fsspec
import pytest

from rfe.data.remote import is_uri, local_folder
from rfe.errors import DataError


@pytest.fixture
def uri() -> str:
    system = fsspec.filesystem("memory")
    if system.exists("/bucket"):
        system.rm("/bucket", recursive=True)
    system.pipe({"/bucket/set/metadata.csv": b"a,b", "/bucket/set/deep/x.npz": b"123"})
    return "memory://bucket/set"


def test_a_path_is_itself(tmp_path: Path) -> None:
    assert local_folder("/data/set", tmp_path) == Path("/data/set")
    assert not is_uri("/data/set")
    assert not list(tmp_path.iterdir())


def test_the_copy_is_whole_named_like_the_data_and_made_once(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = fsspec.filesystem("memory")
    got: list[str] = []
    get = type(system).get_file
    monkeypatch.setattr(
        type(system), "get_file", lambda self, path, *a, **k: got.append(path) or get(self, path, *a, **k)
    )
    copy = local_folder(uri, tmp_path)
    assert local_folder(uri, tmp_path) == copy
    assert copy.name == "set"
    assert len(got) == 2
    found = {path.relative_to(copy).as_posix(): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert found == {"metadata.csv": b"a,b", "deep/x.npz": b"123"}


def test_changed_data_is_another_copy(uri: str, tmp_path: Path) -> None:
    before = local_folder(uri, tmp_path)
    fsspec.filesystem("memory").pipe("/bucket/set/metadata.csv", b"a,b,c")
    after = local_folder(uri, tmp_path)
    assert (before / "metadata.csv").read_bytes() == b"a,b"
    assert (after / "metadata.csv").read_bytes() == b"a,b,c"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("memory://bucket/empty", "has no files"),
        ("nosuch://u:hunter2@bucket/set", "its files cannot be read"),
        ("memory://bucket/set/metadata.csv", "is not a folder"),
    ],
)
def test_what_cannot_be_listed_is_refused_and_nothing_is_left(uri: str, source: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said) as caught:
        local_folder(source, tmp_path)
    assert "hunter2" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_copy_that_breaks_off_leaves_nothing(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, path: str, *_: object, **__: object) -> None:
        raise OSError("connection reset")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", fail)
    with pytest.raises(DataError, match="connection reset"):
        local_folder(uri, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_dir() and path.name.startswith(".")]
