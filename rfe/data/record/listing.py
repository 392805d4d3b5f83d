"""What a public record holds, by the JSON of its server's API.

Source: Zenodo's REST API, https://developers.zenodo.org; both its own form (`files`: a list) and that of other servers
with the same software, InvenioRDM (`files.entries`: a map), are read.
"""

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rfe.data.faults import list_names
from rfe.data.record.connection import Connection
from rfe.errors import ConfigError, DataError
from rfe.secrets import redact_uri
from rfe.workspace import member_problem

PUBLIC_API = "https://zenodo.org/api"
_LARGEST = 16 * 2**20
"""Bytes of a listing; a larger one is none."""
_ID = re.compile(r"(?:https?://(?:[\w.-]+)/)?(?:records?/|10\.\d{4,9}/zenodo\.|zenodo\.)?(\d+)/?", re.IGNORECASE)
_WITHHELD = ("restricted", "closed", "embargoed", "metadata-only")


@dataclass(frozen=True)
class RecordFile:
    """One file of a record."""

    name: str
    """A relative path that stays within its folder."""
    size: int
    """Bytes."""
    checksum: str | None
    """`md5:<hex>`."""
    url: str


@dataclass(frozen=True)
class Record:
    id: str
    title: str
    files: tuple[RecordFile, ...]


def parse_record_id(text: str) -> str:
    """The number in `15096942`, `10.5281/zenodo.15096942` or an address that ends in either.

    Raises:
        ConfigError: there is none.

    Examples:
        >>> parse_record_id("10.5281/zenodo.15096942"), parse_record_id("https://zenodo.org/records/15096942")
        ('15096942', '15096942')
    """
    match = _ID.fullmatch(text.strip().removeprefix("doi:"))
    if match is None:
        raise ConfigError(
            f"record {text!r}: give its number or DOI, e.g. 15096942, 10.5281/zenodo.15096942 or "
            "https://zenodo.org/records/15096942"
        )
    return match[1]


def read_record(record_id: str, api: str, connection: Connection) -> Record:
    """A record's listing.

    Raises:
        ConfigError: `api` is no address.
        DataError: there is no such record, it is not public, its listing makes no sense or names a file outside the
            folder, or the server cannot be reached.
    """
    if not _is_address(api):
        raise ConfigError(f"api {api!r}: is no address; it looks like {PUBLIC_API}")
    url = f"{api.rstrip('/')}/records/{record_id}"
    status, content = connection.retry(url, lambda: _ask(url, connection))
    where = redact_uri(url)
    if status in (401, 403):
        raise DataError(_withheld(record_id, where))
    if status == 404:
        raise DataError(f"{where}: there is no record {record_id}; check the number, the last part of its DOI")
    if status == 410:
        raise DataError(f"{where}: record {record_id} was withdrawn by its owners")
    if status != 200:
        raise DataError(f"{where}: answers {status}, not the listing of a record; check the address of the API")
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        raise DataError(f"{where}: the answer is not JSON; check the address of the API") from None
    return _read_listing(record_id, told, where)


def withheld_file(name: str, url: str) -> str:
    """The sentence on a file that is not public."""
    return f"{redact_uri(url)}: {name} is not public; {_REMEDY}"


_REMEDY = "ask its owners for access on the record's page, download it there, and see `rfe data import`"


def _withheld(record_id: str, where: str) -> str:
    return f"{where}: record {record_id} is restricted; {_REMEDY}"


def _ask(url: str, connection: Connection) -> tuple[int, bytes]:
    with connection.get(url, {"Accept": "application/json"}) as response:
        content = b""
        for block in response.iter_content(2**16):
            content += block
            if len(content) > _LARGEST:
                raise DataError(f"{redact_uri(url)}: answers with more than {_LARGEST >> 20} MB; that is no listing")
        return response.status_code, content


def _read_listing(record_id: str, told: Any, where: str) -> Record:
    told = told if isinstance(told, dict) else {}
    about = told.get("metadata") if isinstance(told.get("metadata"), dict) else {}
    files = told.get("files")
    if isinstance(files, dict):
        files = files.get("entries")
    entries = list(files.values()) if isinstance(files, dict) else files if isinstance(files, list) else []
    if not entries:
        access = told.get("access") if isinstance(told.get("access"), dict) else {}
        if {about.get("access_right"), access.get("files"), access.get("status")} & {*_WITHHELD}:
            raise DataError(_withheld(record_id, where))
        raise DataError(f"{where}: record {record_id} lists no files")
    found = tuple(_read_entry(entry, where) for entry in entries)
    twice = [name for name, count in Counter(file.name for file in found).items() if count > 1]
    if twice:
        raise DataError(f"{where}: lists {list_names(twice)} more than once; tell the record's owners")
    title = about.get("title") or told.get("title")
    return Record(record_id, title if isinstance(title, str) else "", found)


def _read_entry(entry: Any, where: str) -> RecordFile:
    entry = entry if isinstance(entry, dict) else {}
    links = entry.get("links") if isinstance(entry.get("links"), dict) else {}
    name, size, checksum = entry.get("key"), entry.get("size"), entry.get("checksum")
    url = links.get("content") or links.get("self")
    if not isinstance(name, str) or not isinstance(url, str) or not _is_address(url):
        raise DataError(f"{where}: lists a file without a name or an address; is this the API of a record?")
    if problem := member_problem(name) or _hidden_problem(name):
        raise DataError(f"{where}: {problem}; nothing of this record is fetched")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise DataError(f"{where}: {name} has no size ({size!r}); is this the API of a record?")
    if checksum is not None and str(checksum).partition(":")[0] not in hashlib.algorithms_available:
        raise DataError(f"{where}: {name} has a checksum of a kind that this Python does not know ({checksum!r})")
    return RecordFile(name, size, checksum, url)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _hidden_problem(name: str) -> str | None:
    """Hidden files are ours: parts of downloads."""
    if any(part.startswith(".") for part in name.split("/")) or not name.isprintable():
        return f"the name {name!r} is hidden or cannot be printed"
    return None
