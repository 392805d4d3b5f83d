"""One file, from a server that stalls, truncates, errs and lies: whole and checked, or a sentence."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rfe.data.record import connection
from rfe.data.record import download as downloading
from rfe.data.record.connection import Connection, PassingError, Patience
from rfe.data.record.download import download, is_whole, part_of
from rfe.data.record.listing import RecordFile, read_record
from rfe.errors import DataError
from rfe.progress import SilentProgress
from tests.unit.data.record.server import PATIENCE, RECORD, RecordServer, serving

CONTENT = bytes(range(256)) * 16
HALF = len(CONTENT) // 2
CONNECTION = Connection(PATIENCE, SilentProgress())


@pytest.fixture
def server() -> Iterator[RecordServer]:
    with serving({"x.bin": CONTENT}) as server:
        yield server


@pytest.fixture
def file(server: RecordServer) -> RecordFile:
    return read_record(RECORD, server.api, CONNECTION).files[0]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "x.bin"


def fetch(file: RecordFile, target: Path) -> int:
    resumed = download(file, target, CONNECTION)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    return resumed


@pytest.mark.parametrize(
    ("faults", "starts"),
    [
        ([], [None]),
        (["truncate"], [None, HALF]),
        (["stall"], [None, HALF]),
        (["short"], [None, HALF]),
        (["truncate", "truncate"], [None, HALF, HALF + HALF // 2]),
        ([500, 503, 429], [None, None, None, None]),
        (["silent"], [None, None]),
        (["truncate", 503], [None, HALF, HALF]),
        (["truncate", "no_range"], [None, HALF]),
        (["truncate", "early_range"], [None, HALF]),
        (["truncate", "other_range"], [None, HALF, None]),
        (["corrupt"], [None, None]),
        (["truncate", "corrupt"], [None, HALF, None]),
    ],
    ids=lambda value: "+".join(map(str, value)),
)
def test_it_is_whole_in_the_end(
    faults: list[int | str], starts: list[int | None], server: RecordServer, file: RecordFile, target: Path
) -> None:
    server.faults["/files/x.bin"] = list(faults)
    assert fetch(file, target) == 0
    assert server.asked_for("x.bin") == starts


@pytest.mark.parametrize(
    ("part", "resumed", "starts"),
    [
        (CONTENT[:1000], 1000, [1000]),
        (CONTENT, len(CONTENT), []),
        (b"another" * 100, 0, [700, None]),
        (CONTENT + b"more", 0, [None]),
        (b"y" * len(CONTENT), 0, [None]),
    ],
    ids=["resumed", "whole", "another", "longer", "damaged"],
)
def test_an_earlier_runs_part(
    part: bytes, resumed: int, starts: list[int | None], server: RecordServer, file: RecordFile, target: Path
) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(part)
    assert fetch(file, target) == resumed
    assert server.asked_for("x.bin") == starts


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ([503] * 9, r"answers 503 Service Unavailable \(tried 4 times\)"),
        (["silent"] * 9, r"sent nothing for 0\.7 s \(tried 4 times\)"),
        ([403], "x.bin is not public; ask its owners"),
        ([404], "answers 404 Not Found to x.bin, which the record lists"),
        (["long"] * 9, "sends more than the 4,096 bytes that x.bin has by its record"),
        (["corrupt"] * 9, r"is not what its checksum says \(md5:[0-9a-f]{32}\), fetched twice; it was removed"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_never_comes_right(
    faults: list[int | str], said: str, server: RecordServer, file: RecordFile, target: Path
) -> None:
    server.faults["/files/x.bin"] = list(faults)
    with pytest.raises(DataError, match=said):
        download(file, target, CONNECTION)
    assert list(target.parent.iterdir()) == []
    assert len(server.asked_for("x.bin")) <= PATIENCE.attempts


def test_what_was_fetched_before_a_server_failed_for_good_is_kept(
    server: RecordServer, file: RecordFile, target: Path
) -> None:
    server.faults["/files/x.bin"] = ["truncate"] + [503] * 9
    with pytest.raises(DataError, match="the same command later goes on from here"):
        download(file, target, CONNECTION)
    server.faults.clear()
    assert fetch(file, target) == HALF


def test_progress_makes_patience_new(
    server: RecordServer, file: RecordFile, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "_PROGRESS", 1)
    server.faults["/files/x.bin"] = ["truncate"] * 2 * PATIENCE.attempts
    fetch(file, target)
    assert len(server.asked_for("x.bin")) == 2 * PATIENCE.attempts + 1


def test_an_empty_file_and_one_without_checksum(server: RecordServer, file: RecordFile, target: Path) -> None:
    empty = RecordFile("x.bin", 0, "md5:d41d8cd98f00b204e9800998ecf8427e", file.url)
    assert download(empty, target, CONNECTION) == 0
    assert target.read_bytes() == b""
    fetch(replace(file, checksum=None), target)


def test_whole_is_of_the_right_size_and_content(file: RecordFile, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    assert not is_whole(path, file)
    for content in (CONTENT[:-1], CONTENT[:-1] + b"?"):
        path.write_bytes(content)
        assert not is_whole(path, file)
    path.write_bytes(CONTENT)
    assert is_whole(path, file)


def test_waits_grow_to_a_limit_and_begin_again_after_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    notes: list[str] = []
    monkeypatch.setattr(connection.time, "sleep", waited.append)
    monkeypatch.setattr(SilentProgress, "note", lambda self, line: notes.append(line))
    troubles = [*[("broke off", 0.0)] * 4, ("answers 503", 3.0), *[("broke off", 0.0)] * 9]

    def ask() -> None:
        raise PassingError(*troubles[len(waited)])

    patient = Connection(Patience(attempts=5, first_wait_s=1, longest_wait_s=5), SilentProgress())
    with pytest.raises(DataError, match=r"broke off \(tried 5 times\); the same command later goes on") as caught:
        patient.retry("http://u:p@host/x", ask, lambda: len(waited) == 4)
    assert waited == [1, 2, 4, 5, 3, 2, 4, 5]
    assert notes[4] == "http://***@host/x: answers 503; trying again in 3 s"
    assert "u:p" not in str(caught.value)


def test_an_address_that_is_none() -> None:
    with pytest.raises(DataError, match="is no address to fetch from"), CONNECTION.get("http://"):
        pass
