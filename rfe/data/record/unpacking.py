"""Archives unpacked without trusting them: nothing outside the folder, no links, no more than they can hold.

A folder appears whole or not at all.
"""

import errno
import gzip
import io
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from rfe.errors import DataError
from rfe.progress import Progress
from rfe.workspace import member_problem
from rfe.writing import replace_folder

SUFFIXES = (".zip", ".tar.gz", ".tgz", ".tar")
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


def archive_stem(name: str) -> str | None:
    """`data.tar.gz` -> `data`; None if it is no archive that is unpacked here."""
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), None)
    return name[: -len(suffix)] or None if suffix else None


def is_unpacked(folder: Path, content: str) -> bool:
    """Whether `folder` was unpacked from an archive of that `content`.

    Raises:
        DataError: there is something, and `unpack` did not make it.
    """
    if not folder.exists():
        return False
    mark = folder / _MARK
    if not mark.is_file():
        raise DataError(f"{folder} is there, and was not unpacked by rfe; move it away")
    return mark.read_text(encoding="utf-8") == content


def unpack(archive: Path, folder: Path, content: str, progress: Progress) -> int:
    """Unpack an archive into `folder`; one that was unpacked from another archive is replaced when all is well.

    Args:
        content: what `is_unpacked` will know it by, such as the archive's checksum.

    Returns:
        How many files it held.

    Raises:
        DataError: `folder` is something else; the archive is damaged, encrypted, or claims more than it can hold or the
            disk has room for; a member would leave the folder, is a link or a device or stands there twice. Nothing is
            left then.
    """
    is_unpacked(folder, content)
    beside = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    progress.start(f"unpacking {archive.name}: files")
    intake = _Intake(archive, beside, progress)
    try:
        (_unpack_zip if archive.name.lower().endswith(".zip") else _unpack_tar)(archive, intake)
        (beside / _MARK).write_text(content, encoding="utf-8")
        replace_folder(beside, folder)
    except _DAMAGED as error:
        raise DataError(f"{archive}: the archive is damaged ({error}); fetch it again") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place before the file's beginning
            raise
        raise DataError(f"{archive}: the archive is damaged ({error}); fetch it again") from None
    except RuntimeError as error:  # zipfile's word for what needs a password
        raise DataError(f"{archive}: cannot be unpacked ({error})") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        progress.close()
    return intake.files


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
        return self.folder / PurePosixPath(name)

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
        gzip.open(stored) if archive.suffix.lower() != ".tar" else stored as plain,
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


class _SmallReads(io.RawIOBase):
    """A stream of which nobody reads much at once: a header of tar may claim any size, and would be read whole."""

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
