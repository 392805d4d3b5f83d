"""Archives unpacked without trusting them: nothing outside the folder, no links, no more than they can hold.

What is unpacked appears whole or not at all. `shutil.unpack_archive` passes over a zip's unsafe names without a
word, and writes whatever an archive swells to; hence our own.
"""

import bz2
import errno
import gzip
import io
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from rfe.data.record.archives import is_one_file
from rfe.errors import DataError
from rfe.progress import Progress
from rfe.workspace import member_problem
from rfe.writing import put_in_place, replace_folder, sync_tree, write_text

MOST_FILES = 200_000
MOST_INFLATED = 100
"""An archive may unpack to so many times its own size: features hardly shrink, tables of frames to a tenth."""
SMALLEST_LIMIT = 64 * 2**20
"""Bytes that any archive may unpack to."""
_LARGEST_HEADER = 2**20
_MARK = ".unpacked"
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError)
_OF_ARCHIVES = (None, errno.EINVAL, errno.EEXIST, errno.EISDIR, errno.ENOTDIR)
"""Numbers of an OSError that come of a damaged archive (EINVAL: bz2; a place before the file's beginning; then names
that stand there twice, or for a file and a folder), not of the disk."""
_COMPRESSED: dict[bytes, Callable[[IO[bytes]], io.BufferedIOBase]] = {
    b"\x1f\x8b": lambda stored: gzip.GzipFile(fileobj=stored),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x5d\x00\x00": lzma.LZMAFile,
}
"""First bytes of a compressed file -> what reads it; names of archives are wrong at times."""


def is_unpacked(target: Path, content: str) -> bool:
    """Whether `target` was unpacked from an archive of that `content`.

    Raises:
        DataError: there is something, and `unpack` did not make it.
    """
    if not target.exists():
        return False
    mark = _mark_of(target)
    if not mark.is_file():
        raise DataError(f"{target} is there, and was not unpacked by rfe; move it away")
    return mark.read_text(encoding="utf-8") == content


def unpack(archive: Path, target: Path, content: str, progress: Progress) -> int:
    """Unpack an archive; what was unpacked from another one is replaced when all is well.

    Args:
        archive: the file.
        target: the folder to make; the file, where the archive is one compressed file (`labels.csv.gz`).
        content: what `is_unpacked` will know it by, such as the archive's checksum.
        progress: shows the files.

    Returns:
        How many files it held.

    Raises:
        DataError: `target` is something else; the archive is damaged, encrypted, or claims more than it can hold or the
            disk has room for; a member would leave the folder, is a link or a device or stands there twice. Nothing is
            left then.
    """
    is_unpacked(target, content)
    beside = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    progress.start(f"unpacking {archive.name}: files")
    intake = _Intake(archive, beside, progress)
    try:
        with closing(_members(archive, target.name)) as members:
            for member in members:
                intake.take(member)
        if is_one_file(archive.name):
            mark = _mark_of(target)
            write_text(mark, "")  # ours, and not whole, if this breaks off between the next two
            sync_tree(beside)
            put_in_place(beside / target.name, target)
            write_text(mark, content)
        else:
            (beside / _MARK).write_text(content, encoding="utf-8")
            replace_folder(beside, target)
    except (OSError, RuntimeError, OverflowError, *_DAMAGED) as error:
        if isinstance(error, OSError) and error.errno not in _OF_ARCHIVES:
            raise
        raise DataError(f"{archive}: {_explain(error)}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        progress.close()
    return intake.files


def _explain(error: Exception) -> str:
    """Why an archive cannot be read, and what to do."""
    if isinstance(error, NotImplementedError):
        return f"is packed in a way that Python cannot read ({error}), or damaged; unpack it with `7z x`"
    if "span multiple disks" in str(error):
        return f"is one of several parts ({error}); fetch them all without --unpack, and unpack this one with `7z x`"
    if isinstance(error, RuntimeError):  # zipfile's word for what needs a password
        return f"cannot be unpacked ({error})"
    return f"the archive is damaged ({error}); fetch it again"


class _Member(NamedTuple):
    name: str
    size: int | None
    """As the archive claims; None: it claims none."""
    open: Callable[[], IO[bytes] | io.BufferedIOBase | None] | None
    """None: it is a folder."""


class _Intake:
    """Where members go, and how much they may be."""

    def __init__(self, archive: Path, folder: Path, progress: Progress) -> None:
        self.archive, self.folder, self.progress = archive, folder, progress
        self.files = 0
        self._claimed = 0
        self._most = max(MOST_INFLATED * archive.stat().st_size, SMALLEST_LIMIT)
        self._free = shutil.disk_usage(folder).free

    def take(self, member: _Member) -> None:
        """Write a member, never more than it claims, if it may be there and so large."""
        if problem := member_problem(member.name):
            raise DataError(f"{self.archive}: {problem}; nothing is unpacked")
        self.files += member.open is not None
        self._claim(member.size or 0)
        target = self.folder / PurePosixPath(member.name)
        (target if member.open is None else target.parent).mkdir(parents=True, exist_ok=True)
        if member.open is None or (content := member.open()) is None:
            return
        left = member.size
        with content, target.open("xb") as file:
            while block := content.read(2**20 if left is None else min(left, 2**20)):
                if left is None:
                    self._claim(len(block))
                else:
                    left -= len(block)
                file.write(block)
        if left:
            raise EOFError(f"{target.name} is {left:,} bytes short")
        self.progress.update(self.files)

    def _claim(self, size: int) -> None:
        """Count `size` more bytes, if there may be so many."""
        self._claimed += size
        if size < 0 or self._claimed > self._most or self.files > MOST_FILES:
            raise DataError(
                f"{self.archive}: {self.archive.stat().st_size / 1e6:.1f} MB that claim to unpack to {self.files:,} "
                f"files of {self._claimed / 1e6:,.1f} MB or more; refused"
            )
        if self._claimed > self._free:
            raise DataError(
                f"{self.archive}: unpacks to {self._claimed / 1e9:.1f} GB or more, and {self.folder.parent} has "
                f"{self._free / 1e9:.1f} GB free; make room, or unpack it elsewhere"
            )


def _members(archive: Path, name: str) -> Generator[_Member, None, None]:
    """What an archive holds; of one compressed file: that file as `name`."""
    kind = _one_file if is_one_file(archive.name) else _of_zip if archive.name.lower().endswith(".zip") else _of_tar
    with archive.open("rb") as stored:
        for member in kind(archive, name, stored):
            # what macOS adds to archives
            if not member.name.startswith("__MACOSX/") and PurePosixPath(member.name).name != ".DS_Store":
                yield member


def _one_file(archive: Path, name: str, stored: io.BufferedReader) -> Iterator[_Member]:
    content = _decompressed(stored)
    if content is stored:
        raise zlib.error("it is not compressed")
    yield _Member(name, None, lambda: content)


def _of_zip(archive: Path, name: str, stored: io.BufferedReader) -> Iterator[_Member]:
    with zipfile.ZipFile(stored) as packed:
        for member in packed.infolist():
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DataError(f"{archive}: {member.filename} is a link; nothing is unpacked")
            opened = None if member.is_dir() else partial(packed.open, member)
            yield _Member(member.filename, member.file_size, opened)


def _of_tar(archive: Path, name: str, stored: io.BufferedReader) -> Iterator[_Member]:
    plain = _SmallReads(archive, _decompressed(stored))
    with tarfile.open(fileobj=plain, mode="r:") as packed:  # type: ignore[call-overload]  # it needs no more of a file
        for member in packed:
            if member.name in (".", "./"):
                continue
            if not (member.isreg() or member.isdir()):
                raise DataError(f"{archive}: {member.name} is a link or a device; nothing is unpacked")
            if member.issparse():
                raise DataError(f"{archive}: {member.name} is stored with holes; pack it without")
            yield _Member(member.name, member.size, None if member.isdir() else partial(packed.extractfile, member))


def _decompressed(stored: io.BufferedReader) -> io.BufferedIOBase:
    """What a file holds; itself if it is not compressed."""
    start = stored.read(6)
    stored.seek(0)
    opened = next((read for magic, read in _COMPRESSED.items() if start.startswith(magic)), None)
    return stored if opened is None else opened(stored)


def _mark_of(target: Path) -> Path:
    """Where it is kept what `target` was unpacked from."""
    return target / _MARK if target.is_dir() else target.with_name(f".{target.name}{_MARK}")


class _SmallReads:
    """A stream that refuses large reads: a header of tar may claim any size, and would be read whole."""

    def __init__(self, archive: Path, stream: io.BufferedIOBase) -> None:
        self._archive, self._stream = archive, stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _LARGEST_HEADER:
            raise DataError(f"{self._archive}: a header claims {size:,} bytes; refused")
        return self._stream.read(size)
