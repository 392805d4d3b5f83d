"""How long is waited, and what is said meanwhile."""

import pytest

from rfe.data.record import connection
from rfe.data.record.connection import Connection, PassingError, Patience
from rfe.errors import DataError
from rfe.progress import SilentProgress


class Notes(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []
    monkeypatch.setattr(connection.time, "sleep", seconds.append)
    return seconds


def test_waits_grow_to_a_limit_and_begin_anew_after_success(waited: list[float]) -> None:
    notes = Notes()
    attempts = Connection(Patience(attempts=5, first_wait_s=1, longest_wait_s=5), notes).attempts("http://u:p@host/x")
    for _ in range(4):
        attempts.failed(PassingError("broke off"))
    assert waited == [1, 2, 4, 5]
    attempts.worked()
    attempts.failed(PassingError("answers 503", wait_s=3))
    assert waited[-1] == 3
    assert notes.lines[-1] == "http://***@host/x: answers 503; trying again in 3 s"
    for _ in range(3):
        attempts.failed(PassingError("broke off"))
    with pytest.raises(DataError, match=r"broke off \(tried 5 times\); the same command later goes on") as caught:
        attempts.failed(PassingError("broke off"))
    assert "u:p" not in str(caught.value)


def test_an_address_that_is_none() -> None:
    with (
        pytest.raises(DataError, match="is no address to fetch from"),
        Connection(Patience(), SilentProgress()).get("http://"),
    ):
        pass
