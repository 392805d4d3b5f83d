"""A bundle as one file: a zip with the bundle's files, equal folders giving equal bytes.

An archive is not trusted: every name and size is looked at before anything is unpacked, into a temporary folder.
"""

import errno
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rfe.data.arrays import DAMAGED_ZIP
from rfe.errors import SubmissionError
from rfe.submission.layout import MANIFEST
from rfe.workspace import member_problem

MOST_FILES = 100_000
MOST_INFLATED = 20
"""An archive may unpack to so many times its own size, however it was packed; weights barely shrink."""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold


def pack(folder: Path, archive: Path) -> None:
    """Write a bundle's archive: its files by name, not compressed (weights do not shrink), without dates."""
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            member = zipfile.ZipInfo(path.relative_to(folder).as_posix(), date_time=_EPOCH)
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            member.create_system = 3  # Unix, wherever it is written
            member.file_size = path.stat().st_size  # says whether it needs the form for large files
            with path.open("rb") as file, packed.open(member, "w") as into:
                shutil.copyfileobj(file, into)


def is_archive(path: Path) -> bool:
    """Whether a file is a zip with a manifest in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except DAMAGED_ZIP:
        return False


@contextmanager
def open_bundle(path: Path) -> Iterator[Path]:
    """A bundle's folder: `path` itself, or what its archive holds, unpacked into a temporary folder.

    Raises:
        SubmissionError: there is nothing, or the archive is damaged, would unpack outside its folder or to more than it
            can hold.
    """
    if not path.exists():
        raise SubmissionError(f"{path}: no such bundle; give the folder or archive that rfe export wrote")
    if path.is_dir():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="rfe-bundle-") as scratch:
        folder = Path(scratch)
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                if MANIFEST not in archive.namelist():
                    raise SubmissionError(
                        f"{path}: no bundle, {MANIFEST} is not in it; give the folder or archive that rfe export wrote"
                    )
                _check_members(path, members)
                for member in members:
                    _unpack(archive, member, folder)
        except DAMAGED_ZIP as problem:
            if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SubmissionError(
                    f"{path}: cannot be unpacked into {folder.parent} ({problem.strerror}); make room there, or name "
                    "another folder with TMPDIR"
                ) from None
            raise SubmissionError(f"{path}: the archive is damaged: {problem}; copy or export it again") from None
        yield folder


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for member in members:
        if problem := member_problem(member.filename):
            raise SubmissionError(f"{path}: {problem}")
        if member.filename in seen:
            raise SubmissionError(f"{path}: {member.filename} is in it twice; export it again")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise SubmissionError(f"{path}: {member.filename} is a link; a bundle holds plain files")
        if member.flag_bits & 0x1:
            raise SubmissionError(f"{path}: {member.filename} is encrypted; pack it without a password")
        seen.add(member.filename)
    claimed, size = sum(member.file_size for member in members), path.stat().st_size
    if len(members) > MOST_FILES or claimed > MOST_INFLATED * size:
        raise SubmissionError(
            f"{path}: {size / 2**20:.1f} MiB that claim to unpack to {len(members)} files of {claimed / 2**20:.1f} "
            "MiB; refused"
        )


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / member.filename
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, target.open("wb") as file:
        left = member.file_size
        while left > 0 and (block := packed.read(min(left, 2**20))):  # never more than was claimed
            file.write(block)
            left -= len(block)
