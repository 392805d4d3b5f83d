"""A record's listing: found by number or DOI, and refused where it is not to be had or not to be believed."""

from collections.abc import Iterator
from typing import Any

import pytest

from rfe.data.record.connection import Connection
from rfe.data.record.listing import parse_record_id, read_record
from rfe.errors import ConfigError, DataError
from rfe.progress import SilentProgress
from tests.unit.data.record.server import LISTING, PATIENCE, RECORD, RecordServer, serving

CONNECTION = Connection(PATIENCE, SilentProgress())


@pytest.fixture
def server() -> Iterator[RecordServer]:
    with serving({"a.zip": b"abc", "b.csv": b""}) as server:
        yield server


@pytest.mark.parametrize(
    "text",
    [
        "15096942",
        " 15096942 ",
        "10.5281/zenodo.15096942",
        "doi:10.5281/zenodo.15096942",
        "https://doi.org/10.5281/zenodo.15096942",
        "https://zenodo.org/records/15096942",
        "https://zenodo.org/record/15096942/",
        "zenodo.15096942",
    ],
)
def test_a_record_is_named_in_many_ways(text: str) -> None:
    assert parse_record_id(text) == "15096942"


@pytest.mark.parametrize("text", ["", "blemore", "10.1000/182", "https://zenodo.org/", "-3", "12/../13", "1.5"])
def test_what_names_no_record_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"give its number or DOI, e\.g\. 15096942"):
        parse_record_id(text)


def test_files_with_size_and_checksum(server: RecordServer) -> None:
    record = read_record(RECORD, server.api, CONNECTION)
    assert (record.id, record.title) == (RECORD, "A record")
    assert [(file.name, file.size) for file in record.files] == [("a.zip", 3), ("b.csv", 0)]
    assert record.files[0].checksum == "md5:900150983cd24fb0d6963f7d28e17f72"


def test_the_form_of_other_servers(server: RecordServer) -> None:
    entries = {name: server.entry(name, content) for name, content in server.files.items()}
    expected = read_record(RECORD, server.api, CONNECTION).files
    for entry in entries.values():
        entry["links"] = {"self": f"{server.root}/nowhere", "content": entry["links"]["self"]}
    server.listing = {"metadata": {"title": "A record"}, "files": {"enabled": True, "entries": entries}}
    assert read_record(RECORD, server.api, CONNECTION).files == expected


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "there is no record 1234567; check the number"),
        (410, "was withdrawn by its owners"),
        (403, "is restricted; ask its owners for access"),
        (401, "is restricted; ask its owners for access"),
        (418, "answers 418, not the listing of a record"),
    ],
)
def test_records_that_are_not_to_be_had(status: int, said: str, server: RecordServer) -> None:
    server.faults[LISTING] = [status]
    with pytest.raises(DataError, match=said):
        read_record(RECORD, server.api, CONNECTION)
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", [500, 503, 429, "silent"])
def test_what_may_pass_is_asked_again(fault: int | str, server: RecordServer) -> None:
    server.faults[LISTING] = [fault, fault]
    assert len(read_record(RECORD, server.api, CONNECTION).files) == 2
    assert len(server.requests) == 3


def test_a_server_that_keeps_failing_is_given_up(server: RecordServer) -> None:
    server.faults[LISTING] = [502] * 99
    server.headers["Retry-After"] = "86400"  # waited for as long as our patience goes only
    with pytest.raises(DataError, match=r"answers 502 Bad Gateway \(tried 4 times\)"):
        read_record(RECORD, server.api, CONNECTION)
    assert len(server.requests) == PATIENCE.attempts


def test_a_server_that_is_not_there(server: RecordServer) -> None:
    server.close()
    with pytest.raises(DataError, match=r"cannot be reached \(Connection refused\) \(tried 4 times\)"):
        read_record(RECORD, server.api, CONNECTION)
    for api in ("zenodo.org", "file:///etc", "", "http://", "http://[a"):
        with pytest.raises(ConfigError, match="is no address"):
            read_record(RECORD, api, CONNECTION)


@pytest.mark.parametrize(
    ("listing", "said"),
    [
        (b"<html>", "the answer is not JSON"),
        (b"[" * 100_000, "the answer is not JSON"),
        (b'{"x": "' + b"a" * 17_000_000 + b'"}', "more than 16 MB; that is no listing"),
        ([], "lists no files"),
        ({"files": []}, "lists no files"),
        ({"metadata": {"access_right": "restricted"}}, "is restricted; ask its owners"),
        ({"metadata": {"access_right": "embargoed"}, "files": []}, "is restricted; ask its owners"),
        ({"access": {"files": "restricted"}, "files": {"enabled": True, "entries": {}}}, "is restricted; ask its"),
    ],
)
def test_listings_without_files(listing: Any, said: str, server: RecordServer) -> None:
    server.listing = listing
    with pytest.raises(DataError, match=said):
        read_record(RECORD, server.api, CONNECTION)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": "../evil"}, "leads outside its folder"),
        ({"key": "a/../../evil"}, "leads outside its folder"),
        ({"key": "/etc/passwd"}, "is absolute"),
        ({"key": "C:evil"}, "is absolute"),
        ({"key": "a\\..\\evil"}, "has a backslash"),
        ({"key": "a\0"}, "has a backslash or a NUL"),
        ({"key": ""}, "leads outside its folder"),
        ({"key": ".a.zip.part"}, "is hidden"),
        ({"key": "x/.ssh/y"}, "is hidden"),
        ({"key": "a\x1b[2J"}, "cannot be printed"),
        ({"key": "b.csv"}, "lists b.csv more than once"),
        ({"key": None}, "lists a file without a name or an address"),
        ({"links": {"self": "file:///etc/passwd"}}, "lists a file without a name or an address"),
        ({"links": {"self": "http://[a"}}, "lists a file without a name or an address"),
        ({"links": None}, "lists a file without a name or an address"),
        ({"size": -1}, "has no size"),
        ({"size": "12"}, "has no size"),
        ({"size": True}, "has no size"),
        ({"checksum": "crc9:12"}, "of a kind that this Python does not know"),
        ({"checksum": 12}, "of a kind that this Python does not know"),
    ],
)
def test_entries_that_are_not_believed(changes: dict[str, Any], said: str, server: RecordServer) -> None:
    listing = server.right_listing()
    listing["files"][0] |= changes
    server.listing = listing
    with pytest.raises(DataError, match=said):
        read_record(RECORD, server.api, CONNECTION)
