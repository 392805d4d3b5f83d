"""Archives unpacked without trusting them: nothing outside the folder, no links, no more than they can hold.

What is unpacked appears whole or not at all.
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
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

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
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    gzip.BadGzipFile,
    lzma.LZMAError,
    tarfile.TarError,
    EOFError,
    NotImplementedError,
    ValueError,
    OverflowError,
    struct.error,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)
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
        if is_one_file(archive.name):
            _unpack_file(archive, intake, target.name)
            mark = _mark_of(target)
            write_text(mark, "")  # ours, and not whole, if this breaks off between the next two
            sync_tree(beside)
            put_in_place(beside / target.name, target)
            write_text(mark, content)
        else:
            (_unpack_zip if archive.name.lower().endswith(".zip") else _unpack_tar)(archive, intake)
            (beside / _MARK).write_text(content, encoding="utf-8")
            replace_folder(beside, target)
    except _DAMAGED as error:
        raise DataError(f"{archive}: {_explain(error)}") from None
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # of bz2; a place before the file's beginning
            raise
        raise DataError(f"{archive}: {_explain(error)}") from None
    except RuntimeError as error:  # zipfile's word for what needs a password
        raise DataError(f"{archive}: cannot be unpacked ({error})") from None
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
    return f"the archive is damaged ({error}); fetch it again"


class _Intake:
    """Where members go, and how much they may be."""

    def __init__(self, archive: Path, folder: Path, progress: Progress) -> None:
        self.archive, self.folder, self.progress = archive, folder, progress
        self.files = 0
        self._claimed = 0
        self._most = max(MOST_INFLATED * archive.stat().st_size, SMALLEST_LIMIT)
        self._free = shutil.disk_usage(folder).free

    def place(self, name: str, size: int) -> Path:
        """Where the next file goes, if it may be there and so large."""
        if problem := member_problem(name):
            raise DataError(f"{self.archive}: {problem}; nothing is unpacked")
        self.files += 1
        self._claim(size)
        return self.folder / PurePosixPath(name)

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

    def write(self, target: Path, content: IO[bytes], size: int) -> None:
        """Write a member, never more than it claims."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            left = size
            while left > 0 and (block := content.read(min(left, 2**20))):
                file.write(block)
                left -= len(block)
        if left:
            raise EOFError(f"{target.name} is {left:,} bytes short")
        self.progress.update(self.files)

    def pour(self, target: Path, content: io.BufferedIOBase) -> None:
        """Write a file that claims no size."""
        with target.open("xb") as file:
            while block := content.read(2**20):
                self._claim(len(block))
                file.write(block)
        self.progress.update(self.files)


def _unpack_file(archive: Path, intake: _Intake, name: str) -> None:
    with archive.open("rb") as stored, _decompressed(stored) as content:
        if content is stored:
            raise zlib.error("it is not compressed")
        intake.pour(intake.place(name, 0), content)


def _unpack_zip(archive: Path, intake: _Intake) -> None:
    with zipfile.ZipFile(archive) as packed:
        members = [member for member in packed.infolist() if not _is_litter(member.filename)]
        for member in members:
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DataError(f"{archive}: {member.filename} is a link; nothing is unpacked")
        # all claims are looked at before the first file is written
        targets = [(member, intake.place(member.filename, member.file_size)) for member in members]
        intake.files = 0
        for member, target in targets:
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            intake.files += 1
            with packed.open(member) as content:
                intake.write(target, content, member.file_size)


def _unpack_tar(archive: Path, intake: _Intake) -> None:
    with (
        archive.open("rb") as stored,
        _decompressed(stored) as plain,
        tarfile.open(fileobj=_SmallReads(archive, plain), mode="r:") as packed,
    ):
        for member in packed:
            if _is_litter(member.name) or member.name in (".", "./"):
                continue
            if not (member.isreg() or member.isdir()):
                raise DataError(f"{archive}: {member.name} is a link or a device; nothing is unpacked")
            if member.issparse():
                raise DataError(f"{archive}: {member.name} is stored with holes; pack it without")
            target = intake.place(member.name, member.size)
            if member.isdir():
                intake.files -= 1
                target.mkdir(parents=True, exist_ok=True)
                continue
            content = packed.extractfile(member)
            assert content is not None  # of a regular file
            intake.write(target, content, member.size)


def _decompressed(stored: io.BufferedReader) -> io.BufferedIOBase:
    """What a file holds; itself if it is not compressed."""
    start = stored.read(6)
    stored.seek(0)
    opened = next((read for magic, read in _COMPRESSED.items() if start.startswith(magic)), None)
    return stored if opened is None else opened(stored)


def _mark_of(target: Path) -> Path:
    """Where it is kept what `target` was unpacked from."""
    return target / _MARK if target.is_dir() else target.with_name(f".{target.name}{_MARK}")


class _SmallReads(io.RawIOBase):
    """A stream that refuses large reads: a header of tar may claim any size, and would be read whole."""

    def __init__(self, archive: Path, stream: io.BufferedIOBase) -> None:
        self._archive, self._stream = archive, stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _LARGEST_HEADER:
            raise DataError(f"{self._archive}: a header claims {size:,} bytes; refused")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _is_litter(name: str) -> bool:
    """What macOS adds to archives."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name == ".DS_Store"
