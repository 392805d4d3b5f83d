"""A record into a folder: what is there is kept, what is missing comes, and room is looked for first."""

import errno
import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from rfe.data.record import fetching
from rfe.data.record.fetching import API_VARIABLE, FetchReport, fetch_record
from rfe.errors import ConfigError, DataError
from tests.unit.data.record.server import PATIENCE, RECORD, RecordServer, serving


def packed(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, value in files.items():
            archive.writestr(name, value)
    return content.getvalue()


FILES = {
    "train_metadata.csv": b"filename\na\n",
    "pre_extracted_train_data.zip": packed(a=b"1", b=b"2"),
    "extra/notes.txt": b"n",
}


@pytest.fixture
def server() -> Iterator[RecordServer]:
    with serving(dict(FILES)) as server:
        yield server


def fetch(server: RecordServer, output: Path, **options: Any) -> FetchReport:
    return fetch_record(RECORD, output, api=server.api, patience=PATIENCE, **options)


def stored(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_all_files_come_and_the_second_time_none(server: RecordServer, tmp_path: Path) -> None:
    report = fetch(server, tmp_path / "out")
    assert (report.record, report.title, report.folder) == (RECORD, "A record", tmp_path / "out")
    assert [(one.name, one.size, one.state, one.checked) for one in report.files] == [
        (name, len(content), "fetched", True) for name, content in FILES.items()
    ]
    assert stored(tmp_path / "out") == FILES
    n_requests = len(server.requests)
    assert {one.state for one in fetch(server, tmp_path / "out").files} == {"there already"}
    assert len(server.requests) == n_requests + 1


def test_only_some_files(server: RecordServer, tmp_path: Path) -> None:
    report = fetch(server, tmp_path, only=["*metadata*", "extra/notes.txt"])
    assert [one.name for one in report.files] == ["train_metadata.csv", "extra/notes.txt"]
    with pytest.raises(ConfigError, match=r"did you mean train_metadata\.csv\?"):
        fetch(server, tmp_path, only=["train_metadata.cvs"])


def test_a_fetch_that_failed_goes_on(server: RecordServer, tmp_path: Path) -> None:
    server.faults["/files/pre_extracted_train_data.zip"] = ["truncate"] + [503] * 9
    with pytest.raises(DataError, match="tried 4 times"):
        fetch(server, tmp_path)
    assert stored(tmp_path).keys() == {"train_metadata.csv", ".pre_extracted_train_data.zip.part"}
    server.faults.clear()
    report = fetch(server, tmp_path)
    assert [one.state for one in report.files] == ["there already", "resumed", "fetched"]
    assert stored(tmp_path) == FILES


def test_a_file_that_changed_is_fetched_again(server: RecordServer, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    (tmp_path / "train_metadata.csv").write_bytes(b"filename\nb\n")
    assert [one.state for one in fetch(server, tmp_path).files] == ["fetched", "there already", "there already"]
    assert stored(tmp_path) == FILES


def test_archives_are_unpacked_once(server: RecordServer, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    folder = tmp_path / "pre_extracted_train_data"
    for _ in range(2):
        report = fetch(server, tmp_path, unpack_archives=True)
        assert {one.state for one in report.files} == {"there already"}
        assert [one.unpacked for one in report.files] == [None, folder, None]
        assert (folder / "a").read_bytes() == b"1"
        (folder / "b").unlink(missing_ok=True)
    assert not (folder / "b").exists()
    server.files["pre_extracted_train_data.zip"] = packed(c=b"3")
    fetch(server, tmp_path, unpack_archives=True)
    assert {path.name for path in folder.glob("[!.]*")} == {"c"}


def test_archives_of_every_kind_each_in_its_place(server: RecordServer, tmp_path: Path) -> None:
    """The second one replaced what was unpacked of the first, and the next fetch did it again the other way round."""
    with tarfile.open(fileobj=(tar := io.BytesIO()), mode="w:xz") as archive:
        archive.addfile(tarfile.TarInfo("in-tar"))
    server.files = {
        "same.zip": packed(inside=b"z"),
        "same.tar.xz": tar.getvalue(),
        "labels.csv.gz": gzip.compress(b"a,b\n"),
        "more.7z": b"7z",
    }
    for _ in range(2):
        report = fetch(server, tmp_path, unpack_archives=True)
        targets = [one.unpacked for one in report.files]
        assert targets == [tmp_path / "same-zip", tmp_path / "same-tar-xz", tmp_path / "labels.csv", None]
        unpacked = stored(tmp_path)
        assert (unpacked["same-zip/inside"], unpacked["same-tar-xz/in-tar"]) == (b"z", b"")
        assert unpacked["labels.csv"] == b"a,b\n"
        assert report.notes == ("still packed, as Python alone cannot read them: more.7z (unpack with `7z x`)",)
    alone = fetch(server, tmp_path / "other", only=["same.zip"], unpack_archives=True)
    assert [one.unpacked for one in alone.files] == [tmp_path / "other" / "same-zip"]
    assert fetch(server, tmp_path, only=["more.7z"]).notes == ()


def test_room_is_looked_for_before_anything_is_fetched(
    server: RecordServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = sum(map(len, FILES.values()))
    archive = len(FILES["pre_extracted_train_data.zip"])
    free = SimpleNamespace(free=total - 1)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda folder: free)
    with pytest.raises(DataError, match=r"the files need 0\.0 GB more, .* free; make room, .* \(--only\)"):
        fetch(server, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [path for path, _ in server.requests if path.startswith("/files/")] == []
    free.free = total
    with pytest.raises(DataError, match="make room"):
        fetch(server, tmp_path / "out", unpack_archives=True)
    free.free = total + archive
    fetch(server, tmp_path / "out", unpack_archives=True)
    free.free = 0
    fetch(server, tmp_path / "out", unpack_archives=True)


def test_a_disk_that_fills_up_is_said_and_what_came_is_kept(
    server: RecordServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "unpack", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(DataError, match=r"the disk is full; make room\nwhat is there is kept"):
        fetch(server, tmp_path, unpack_archives=True)
    assert stored(tmp_path).keys() == {"train_metadata.csv", "pre_extracted_train_data.zip"}


def test_the_api_may_stand_in_the_environment(
    server: RecordServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_VARIABLE, server.api)
    assert len(fetch_record(RECORD, tmp_path, patience=PATIENCE).files) == len(FILES)


def test_a_folder_that_is_taken(server: RecordServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file; name a folder"):
        fetch(server, tmp_path / "file")
    with FileLock(tmp_path / ".fetch.lock"), pytest.raises(DataError, match="another fetch is writing"):
        fetch(server, tmp_path)


def test_a_record_that_cannot_be_had_leaves_no_folder(server: RecordServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no record 7"):
        fetch_record("7", tmp_path / "out", api=server.api, patience=PATIENCE)
    server.faults["/files/train_metadata.csv"] = [403]
    with pytest.raises(DataError, match="is not public"):
        fetch(server, tmp_path / "out", only=["train_metadata.csv"])
    assert not (tmp_path / "out").exists()
