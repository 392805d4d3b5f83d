"""How files and folders are written: whole or not at all, also when the power fails, and where they can be.

POSIX promises a file's content after `fsync` of the file, and a name (of a new file, or a rename) only after `fsync` of
the folder that holds it: without the second a file that was written and reported may be gone after a power failure.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rfe.errors import ConfigError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors that mean the disk is full."""


@contextmanager
def write_beside(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path` (made if missing) that replaces `path` when the block ends well.

    The temporary name keeps the suffix, so that writers which look at it (`np.savez`) behave. When the block raises,
    `path` is as it was and nothing is left beside it. After the block the file survives a power failure.
    """
    make_folder(path.parent)
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield beside
        _sync(beside)
        put_in_place(beside, path)
    except OSError as error:
        # a full disk is noticed by a file that is open and nameless
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files to a folder, each beside its place, then renamed; one `fsync` puts all of their names on disk.

    Args:
        folder: made if missing.
        contents: by the file's name.
    """
    if not contents:
        return
    make_folder(folder)
    places = {folder / name: content for name, content in contents.items()}
    beside = {path: path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}") for path in places}
    path = folder
    try:
        for path, content in places.items():
            with beside[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path in places:
            beside[path].replace(path)
        sync_folder(folder)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        for path in beside.values():
            path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` beside `path`, then rename."""
    with write_beside(path) as beside:
        beside.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` as UTF-8 beside `path`, then rename."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON beside `path`, then rename."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


class PlainRecord:
    """A dataclass whose fields are what JSON holds."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]  # each subclass is a dataclass


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, where they are missing, so that they survive a power failure."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def put_in_place(beside: Path, path: Path) -> None:
    """Rename `beside`, whose content is on disk, to `path` in the same folder, so that the name is on disk too."""
    beside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot: some over the network
            raise
    finally:
        os.close(number)


def sync_tree(folder: Path) -> None:
    """Wait until all that a folder holds is on disk, whatever has written it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            _sync(path)
        elif path.is_dir() and not path.is_symlink():
            sync_folder(path)
    sync_folder(folder)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def check_folder_place(path: Path) -> None:
    """Refuse a place where no folder can be, before any work for it.

    Raises:
        ConfigError: a file is there, or where one of its parents should be.
    """
    path = path.absolute()
    for place in (path, *path.parents):
        if place.is_dir():
            return
        if place.exists() or place.is_symlink():
            there = "is a file" if place.exists() else "is a link to nothing"
            raise ConfigError(f"{path}: {place if place != path else 'it'} {there}; name another folder")


@contextmanager
def fill_folder(folder: Path) -> Iterator[Path]:
    """A scratch folder whose files are moved to `folder` when the block succeeds; when it raises, none is.

    It lies in a folder that is there already, which may be a mount or the current one, and beside one that is not.
    """
    folder = folder.absolute()
    is_there = folder.is_dir()
    scratch = folder / ".filling" if is_there else folder.with_name(f".{folder.name}.filling")
    shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
    scratch.mkdir(parents=True)
    try:
        yield scratch
        sync_tree(scratch)
        if is_there:
            for path in sorted(scratch.iterdir()):
                path.replace(folder / path.name)
            sync_folder(folder)
        else:
            put_in_place(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def replace_folder(beside: Path, path: Path) -> None:
    """Rename the folder `beside` to `path`; an older folder there is kept aside until the new one stands."""
    sync_tree(beside)
    if not path.exists():
        put_in_place(beside, path)
        return
    old = path.with_name(f".{path.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    path.rename(old)
    put_in_place(beside, path)
    shutil.rmtree(old)


def whole_lines(path: Path) -> int:
    """Bytes of a file up to the end of its last complete line."""
    return path.read_bytes().rfind(b"\n") + 1


def cut_torn_line(path: Path) -> bool:
    """Cut off a last line that a crash left incomplete; True if there was one. Only its one writer may."""
    if not path.is_file():
        return False
    whole = whole_lines(path)
    if whole == path.stat().st_size:
        return False
    with path.open("rb+") as file:
        file.truncate(whole)
        os.fsync(file.fileno())
    return True
