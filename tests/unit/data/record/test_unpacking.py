"""Archives that are what they say become folders; all others become a sentence, and leave nothing."""

import bz2
import contextlib
import gzip
import io
import lzma
import random
import shutil
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rfe.data.record import unpacking
from rfe.data.record.unpacking import is_unpacked, unpack
from rfe.errors import DataError
from rfe.progress import SilentProgress

FILES = {"top/a.npy": b"a" * 3000, "top/deep/b.csv": b"x,y\n1,2\n", "empty.txt": b""}
PROGRESS = SilentProgress()


def make(path: Path, files: Iterable[tuple[str, bytes]] = FILES.items()) -> Path:
    """An archive of the kind that its name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files:
                archive.writestr(name, content)
        return path
    mode = {".tar": "w", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w:gz")
    with tarfile.open(path, mode) as packed:  # type: ignore[call-overload]
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return path


NAMES = ("d.zip", "d.tar.gz", "d.tgz", "d.tar", "d.tar.bz2", "d.tar.xz")
FILE_OPENERS = {"l.csv.gz": gzip.open, "l.csv.bz2": bz2.open, "l.csv.xz": lzma.open}


def refuse(archive: Path, said: str) -> None:
    before = sorted(path.name for path in archive.parent.iterdir())
    with pytest.raises(DataError, match=said):
        unpack(archive, archive.parent / "out", "md5:1", PROGRESS)
    assert sorted(path.name for path in archive.parent.iterdir()) == before


def found(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("[!.]*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", NAMES)
def test_an_archive_becomes_a_folder(name: str, tmp_path: Path) -> None:
    archive = make(tmp_path / name, [*FILES.items(), ("__MACOSX/top/._a.npy", b"litter"), ("top/.DS_Store", b"")])
    assert unpack(archive, tmp_path / "out", "md5:1", PROGRESS) == 3
    assert found(tmp_path / "out") == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, "out"]


def test_folders_among_the_members(tmp_path: Path) -> None:
    (tmp_path / "in" / "hollow").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_text("a")
    for form in ("zip", "gztar"):
        archive = Path(shutil.make_archive(str(tmp_path / form), form, tmp_path / "in"))
        assert unpack(archive, tmp_path / "out", form, PROGRESS) == 1
        assert (tmp_path / "out" / "hollow").is_dir()


@pytest.mark.parametrize("name", ["d.tar.gz", "d.tar"])
def test_what_compresses_a_tar_is_told_by_its_content(name: str, tmp_path: Path) -> None:
    """A name that did not fit was called damage."""
    make(tmp_path / "d.tar.xz").rename(tmp_path / name)
    assert unpack(tmp_path / name, tmp_path / "out", "md5:1", PROGRESS) == 3
    assert found(tmp_path / "out") == FILES


@pytest.mark.parametrize("name", FILE_OPENERS)
def test_a_compressed_file_becomes_a_file(name: str, tmp_path: Path) -> None:
    """It stayed packed without a word."""
    archive, target = tmp_path / name, tmp_path / "l.csv"
    for content in (b"a,b\n", b"c,d\n" * 10**6):
        with FILE_OPENERS[name](archive, "wb") as file:
            file.write(content)
        assert not is_unpacked(target, content[:3].decode())
        assert unpack(archive, target, content[:3].decode(), PROGRESS) == 1
        assert is_unpacked(target, content[:3].decode())
        assert target.read_bytes() == content
    assert {path.name for path in tmp_path.glob("[!.]*")} == {name, "l.csv"}
    archive.write_bytes(archive.read_bytes()[:30])
    with pytest.raises(DataError, match="damaged"):
        unpack(archive, target, "new", PROGRESS)
    archive.write_bytes(b"plain")
    with pytest.raises(DataError, match=r"damaged .it is not compressed"):
        unpack(archive, target, "new", PROGRESS)
    assert target.read_bytes() == content
    target.unlink()
    target.with_name(".l.csv.unpacked").unlink()
    target.write_bytes(b"mine")
    with pytest.raises(DataError, match="was not unpacked by rfe"):
        is_unpacked(target, "new")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotImplementedError("That compression method is not supported"), "a way that Python cannot read .* `7z x`"),
        (zipfile.BadZipFile("zipfiles that span multiple disks are not supported"), "one of several parts .* `7z x`"),
    ],
)
def test_a_zip_of_another_program_is_sent_to_it(
    error: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deflate64, as Windows packs large folders, and split archives were said to be damaged: fetch them again."""

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(unpacking.zipfile, "ZipFile", fail)
    (tmp_path / "d.zip").touch()
    refuse(tmp_path / "d.zip", said)


def test_another_content_replaces_what_was_unpacked_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    unpack(make(tmp_path / "d.zip"), folder, "md5:1", PROGRESS)
    assert (is_unpacked(folder, "md5:1"), is_unpacked(folder, "md5:2")) == (True, False)
    unpack(make(tmp_path / "d.zip", [("new", b"n")]), folder, "md5:2", PROGRESS)
    assert found(folder) == {"new": b"n"}
    shutil.rmtree(folder)
    assert not is_unpacked(folder, "md5:2")
    folder.mkdir()
    (folder / "mine.txt").touch()
    refuse(tmp_path / "d.zip", "was not unpacked by rfe; move it away")
    assert (folder / "mine.txt").exists()


@pytest.mark.parametrize("name", ["d.zip", "d.tar.gz"])
@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("../evil", "leads outside"),
        ("top/../../evil", "leads outside"),
        ("/evil", "is absolute"),
        ("C:/evil", "is absolute"),
        ("top\\..\\evil", "has a backslash"),
    ],
)
def test_members_stay_within(member: str, said: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    refuse(make(tmp_path / "in" / name, [("first", b"1"), (member, b"2")]), said)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_links_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    refuse(tmp_path / "d.zip", "link is a link")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        with tarfile.open(tmp_path / "d.tar", "w") as packed:
            member = tarfile.TarInfo("link")
            member.type, member.linkname = kind, "/etc/passwd"
            packed.addfile(member)
        refuse(tmp_path / "d.tar", "link is a link or a device")


@pytest.mark.parametrize("name", NAMES)
def test_no_member_twice_and_no_file_that_is_a_folder_too(name: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate") if name == "d.zip" else contextlib.nullcontext():
        archive = make(tmp_path / name, [("a", b"1"), ("a", b"2")])
    refuse(archive, "damaged")
    refuse(make(tmp_path / name, [("a", b"1"), ("a/b", b"2")]), "damaged")


@pytest.mark.parametrize("name", NAMES)
def test_truncated_archives(name: str, tmp_path: Path) -> None:
    archive = make(tmp_path / name)
    content = archive.read_bytes()
    for left in (0, 20, len(content) // 4):
        archive.write_bytes(content[:left])
        refuse(archive, "damaged")


@pytest.mark.parametrize("name", NAMES)
def test_any_damage_is_a_sentence_or_harmless(name: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    archive = make(tmp_path / "in" / name)
    content, draw = archive.read_bytes(), random.Random(0)
    outcomes: Counter[str] = Counter()
    for _ in range(120):
        damaged = bytearray(content)
        for _ in range(draw.choice((1, 4))):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        archive.write_bytes(damaged)
        try:
            unpack(archive, tmp_path / "in" / "out", "md5:1", PROGRESS)
        except DataError:
            outcomes["refused"] += 1
        else:
            shutil.rmtree(tmp_path / "in" / "out")
        assert [path.name for path in tmp_path.rglob("*")] == ["in", name]
    assert outcomes["refused"] > 0


def test_zips_that_are_damaged_or_encrypted(tmp_path: Path) -> None:
    archive = tmp_path / "d.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a", b"sound content")
    archive.write_bytes(archive.read_bytes().replace(b"sound content", b"wrong content"))
    refuse(archive, "damaged")
    content = bytearray(make(tmp_path / "d.zip", [("a", b"secret")]).read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "d.zip").write_bytes(content)
    refuse(tmp_path / "d.zip", "cannot be unpacked .*encrypted")


@pytest.mark.parametrize("name", ["d.zip", "d.tar.gz", *FILE_OPENERS])
def test_more_than_it_can_hold_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "SMALLEST_LIMIT", 2**20)
    content = bytes(3 * 2**20)
    if name in FILE_OPENERS:
        with FILE_OPENERS[name](tmp_path / name, "wb") as file:
            file.write(content)
    else:
        make(tmp_path / name, [("zeros", content)])
    refuse(tmp_path / name, r"claim to unpack to 1 files of [123]\.\d MB or more")


def test_more_files_than_any_record_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_FILES", 2)
    refuse(make(tmp_path / "d.zip"), "claim to unpack to 3 files")


def test_ten_megabytes_that_claim_a_hundred_gigabytes(tmp_path: Path) -> None:
    member = tarfile.TarInfo("huge")
    member.size = 10**11
    (tmp_path / "d.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10**7))
    refuse(tmp_path / "d.tar", r"10\.0 MB that claim to unpack to 1 files of 100,000\.0 MB")
    archive = make(tmp_path / "d.zip", [("huge", bytes(10**4))])
    content = bytearray(archive.read_bytes())
    for start, size in ((0, 22), (content.index(b"PK\x01\x02"), 24)):
        content[start + size : start + size + 4] = (4 * 10**9).to_bytes(4, "little")
    archive.write_bytes(content)
    refuse(archive, "claim to unpack to 1 files of 4,000.0 MB")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_claims_memory(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo("header")
    member.type, member.size = kind, 10**10
    with gzip.open(tmp_path / "d.tar.gz", "wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT) + bytes(10**6))
    refuse(tmp_path / "d.tar.gz", "a header claims 10,000,000,000 bytes; refused")


def test_no_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2000))
    refuse(make(tmp_path / "d.zip"), "unpacks to 0.0 GB or more, and .* free; make room")
