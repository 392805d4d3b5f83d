"""One file of a record: downloaded into a hidden part beside it, resumed after any interruption, and checked.

The libraries for this, `pooch` (with its DOI downloader) and `fsspec`, fetch an interrupted file again from its first
byte, which a record of many gigabytes does not bear; hence our own, on `requests`.
"""

import hashlib
import os
import re
from pathlib import Path

import requests

from rfe.data.record.connection import Connection, PassingError
from rfe.data.record.listing import RecordFile, withheld_file
from rfe.errors import DataError
from rfe.secrets import redact_uri
from rfe.writing import put_in_place

_BLOCK = 2**18
_PROGRESS = 2**20
"""Bytes that count as progress: a server that gives less each time is given up."""
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def part_of(target: Path) -> Path:
    """Where a file lies until it is whole."""
    return target.with_name(f".{target.name}.part")


def is_whole(path: Path, file: RecordFile) -> bool:
    """Whether a file is there with the record's size and checksum."""
    return path.is_file() and path.stat().st_size == file.size and _checksum_fits(path, file)


def download(file: RecordFile, target: Path, connection: Connection) -> int:
    """Fetch a file that is not there, or not whole.

    Returns:
        How many bytes of it were there already, from an earlier run.

    Raises:
        DataError: not public, not there, larger than the record says, not what its checksum says (also when fetched a
            second time; nothing is left of it then), or the server failed as often as our patience goes.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target)
    resumed = _size(part) if _size(part) <= file.size else 0
    for again in (False, True):
        try:
            _complete(file, part, connection)
        finally:
            if file.size and not _size(part):
                part.unlink(missing_ok=True)
        connection.progress.start(f"{file.name}: checksum")
        if _checksum_fits(part, file):
            put_in_place(part, target)
            connection.progress.close()
            return 0 if again else resumed
        part.unlink()
        if not again:
            connection.progress.note(f"{file.name}: is not what its checksum says; fetching it again")
    raise DataError(
        f"{redact_uri(file.url)}: {file.name} is not what its checksum says ({file.checksum}), fetched twice; "
        "it was removed: try again later, or tell the record's owners"
    )


def _complete(file: RecordFile, part: Path, connection: Connection) -> None:
    if _size(part) > file.size:
        part.unlink()
    part.touch()
    connection.progress.start(f"{file.name}, MB", max(1, file.size // 10**6))
    have = _size(part)

    def receive() -> None:
        nonlocal have
        if (have := _size(part)) < file.size:
            _receive(file, part, have, connection)

    connection.retry(file.url, receive, lambda: _size(part) - have >= _PROGRESS)
    connection.progress.close()


def _receive(file: RecordFile, part: Path, have: int, connection: Connection) -> None:
    """Append to `part` what one request brings."""
    with connection.get(file.url, {"Range": f"bytes={have}-"} if have else None) as response:
        position = _position(file, part, have, response)
        with part.open("rb+") as stored:
            stored.seek(position)
            stored.truncate()
            try:
                # read1 gives what has come; a read for a whole block loses it when the connection breaks
                while block := response.raw.read1(_BLOCK):
                    position += len(block)
                    if position > file.size:
                        stored.truncate(0)
                        raise DataError(
                            f"{redact_uri(file.url)}: sends more than the {file.size:,} bytes that {file.name} has by "
                            "its record; nothing of it is kept: tell the record's owners"
                        )
                    stored.write(block)
                    connection.progress.update(position // 10**6)
            finally:
                stored.flush()
                os.fsync(stored.fileno())
    if position < file.size:
        raise PassingError(f"broke off after {position:,} of {file.size:,} bytes")


def _position(file: RecordFile, part: Path, have: int, response: requests.Response) -> int:
    """Where in the file the body of an answer begins."""
    status = response.status_code
    if status == 200:  # the server knows no ranges: from the start
        return 0
    if status == 206:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is not None and int(match[1]) <= have and match[3] in ("*", str(file.size)):
            return int(match[1])
    if status in (206, 416):
        part.write_bytes(b"")
        raise PassingError("answers with another range than was asked for")
    if status in (401, 403):
        raise DataError(withheld_file(file.name, file.url))
    raise DataError(
        f"{redact_uri(file.url)}: answers {status} {response.reason} to {file.name}, which the record lists"
    )


def _checksum_fits(path: Path, file: RecordFile) -> bool:
    if file.checksum is None:
        return True
    kind, _, digits = file.checksum.partition(":")
    with path.open("rb") as stored:
        # against accidents only: also where Python was built without md5 for security
        digest = hashlib.file_digest(stored, lambda: hashlib.new(kind, usedforsecurity=False))
    return digest.hexdigest() == digits.lower()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
