"""A public record into a folder: looked up, checked for room, fetched file by file, unpacked if asked."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from filelock import Timeout

from rfe.data.record.archives import packed_note, plan_targets
from rfe.data.record.connection import Connection, Patience
from rfe.data.record.download import download, is_whole, part_of
from rfe.data.record.listing import PUBLIC_API, Record, RecordFile, parse_record_id, read_record
from rfe.data.record.unpacking import is_unpacked, unpack
from rfe.errors import ConfigError, DataError
from rfe.locking import hold_lock
from rfe.progress import Progress, SilentProgress
from rfe.suggestions import unknown
from rfe.writing import DISK_FULL

API_VARIABLE = "RFE_RECORDS_API"
"""Environment variable: the API to ask where no other is given."""
_LOCK = ".fetch.lock"
_KEPT = "what is there is kept in {}; the same command goes on with it"


@dataclass(frozen=True)
class FetchedFile:
    name: str
    size: int
    """Bytes."""
    state: Literal["fetched", "resumed", "there already"]
    """`resumed`: a part of it was there from an earlier run."""
    checked: bool
    """Whether the record gives a checksum to check it by."""
    unpacked: Path | None
    """The folder, or the file, that it was unpacked to."""


@dataclass(frozen=True)
class FetchReport:
    """What lies in the folder now."""

    record: str
    title: str
    folder: Path
    files: tuple[FetchedFile, ...]
    notes: tuple[str, ...] = ()
    """What was asked for and not done."""


def fetch_record(
    record: str,
    output: Path,
    *,
    only: Sequence[str] = (),
    unpack_archives: bool = False,
    api: str | None = None,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> FetchReport:
    """Fetch a record's files. Files that are there and whole are kept; a partial file is resumed.

    Args:
        record: its number or DOI.
        output: folder for the files, made if need be.
        only: names or patterns (`*train*`) of files; none: all.
        unpack_archives: unpack `.zip` and `.tar`, also `.tar.gz`, `.tar.bz2` and `.tar.xz`, into folders of their
            names, and `.gz`, `.bz2` and `.xz` of one file beside it; archives stay. A note says which stay packed.
        api: address of the API; default `RFE_RECORDS_API`, else Zenodo's.
        patience: with slow or failing servers.

    Raises:
        ConfigError: `record` or `api` make no sense, or `only` fits no file.
        DataError: no such record, not public, no room on the disk (before anything is fetched), a server that fails for
            good, a checksum that does not fit, an archive that is not safe, or another fetch into `output`.
    """
    output = Path(output)
    progress = progress or SilentProgress()
    if output.exists() and not output.is_dir():
        raise DataError(f"{output} is a file; name a folder")
    number = parse_record_id(record)
    connection = Connection(patience or Patience(), progress)
    with connection.session:
        found = read_record(number, api or os.environ.get(API_VARIABLE) or PUBLIC_API, connection)
        files = _select(found, only)
        targets = plan_targets(file.name for file in found.files) if unpack_archives else {}
        with _lock(output):
            _check_room(files, output, targets)
            try:
                fetched = tuple(_fetch(file, output, targets.get(file.name), connection) for file in files)
            except KeyboardInterrupt:
                progress.note(_KEPT.format(output))
                raise
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
                raise DataError(f"{output}: the disk is full; make room\n{_KEPT.format(output)}") from None
    note = packed_note(file.name for file in files) if unpack_archives else None
    return FetchReport(found.id, found.title, output, fetched, (note,) if note else ())


@contextmanager
def _lock(output: Path) -> Iterator[None]:
    """Make `output` ours alone; when nothing came of it, it is gone again."""
    is_new = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    try:
        with hold_lock(output / _LOCK, 0.0, instead="--output"):
            try:
                yield
            finally:
                (output / _LOCK).unlink(missing_ok=True)
                if is_new and not any(output.iterdir()):
                    output.rmdir()
    except Timeout:
        raise DataError(f"another fetch is writing {output}; wait for its end, or give another folder") from None


def _select(record: Record, only: Sequence[str]) -> list[RecordFile]:
    names = [file.name for file in record.files]
    for pattern in only:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(f"record {record.id}: {unknown('file', pattern, names)}")
    return [file for file in record.files if not only or any(fnmatchcase(file.name, pattern) for pattern in only)]


def _check_room(files: Sequence[RecordFile], output: Path, targets: Mapping[str, str]) -> None:
    """What is unpacked is at least as large as what is packed."""
    needed = 0
    for file in files:
        target = output / file.name
        part = part_of(target)
        if not (target.is_file() and target.stat().st_size == file.size):
            needed += file.size - min(file.size, part.stat().st_size if part.is_file() else 0)
        if file.name in targets and not is_unpacked(output / targets[file.name], _content(file)):
            needed += file.size
    free = shutil.disk_usage(output).free
    if needed > free:
        raise DataError(
            f"{output}: the files need {needed / 1e9:,.1f} GB more, and its disk has {free / 1e9:,.1f} GB free; make "
            "room, give another folder, or fetch only some files (--only)"
        )


def _content(file: RecordFile) -> str:
    return file.checksum or str(file.size)


def _fetch(file: RecordFile, output: Path, unpacks_to: str | None, connection: Connection) -> FetchedFile:
    target = output / file.name
    state: Literal["fetched", "resumed", "there already"] = "there already"
    if not is_whole(target, file):
        state = "resumed" if download(file, target, connection) else "fetched"
    unpacked = None if unpacks_to is None else output / unpacks_to
    if unpacked is not None and not is_unpacked(unpacked, _content(file)):
        unpack(target, unpacked, _content(file), connection.progress)
    return FetchedFile(file.name, file.size, state, file.checksum is not None, unpacked)
