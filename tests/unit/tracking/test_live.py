"""What a driver says of itself, and who heeds a request to stop."""

import json
import os
import socket
from pathlib import Path

import pytest

from rfe.progress import SearchStatus, SilentProgress
from rfe.tracking.live import LiveStatus, keep_live, read_live, request_stop, stop_requested
from tests.unit.tracking.logs import study_folder

STATUS = SearchStatus(20, 3, 2, best_score=0.3, best_number=1, best_config={"train.lr": 0.1}, epochs=(4, 7))


def test_what_is_told_is_kept_while_the_study_is_worked_on(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    assert read_live(folder) is None
    with keep_live(folder, "one", SilentProgress()) as progress:
        first = read_live(folder)
        assert first is not None
        assert (first.session, first.host, first.pid, first.search) == ("one", socket.gethostname(), os.getpid(), None)
        progress.start("search s", 20)
        progress.update(STATUS)
        progress.start("confirm s", 2)  # a new stage is written at once, with what was told before
        live = read_live(folder)
        assert live is not None
        assert (live.stage, live.search, live.done, live.total) == ("confirm s", STATUS, 0, 2)
        assert live.time >= first.time
    assert read_live(folder) is None


def test_it_is_written_now_and_then_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    monkeypatch.setattr("rfe.tracking.live.write_json", lambda path, content: written.append(content))
    with keep_live(study_folder(tmp_path), "one", SilentProgress()) as progress:
        progress.start("search s", 20)
        for done in range(1000):
            progress.update(SearchStatus(20, done))
    assert 2 <= len(written) < 100


def test_a_full_disk_does_not_end_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rfe.tracking.live.write_json", full)
    with keep_live(study_folder(tmp_path), "one", SilentProgress()) as progress:
        progress.start("search s", 20)


def test_only_the_session_that_is_meant_stops(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    with keep_live(folder, "one", SilentProgress()):
        assert not stop_requested(folder, "one")
        request_stop(folder, "one")
        assert stop_requested(folder, "one")
        assert not stop_requested(folder, "two")
    request_stop(folder, "one")  # too late: it has ended
    with keep_live(folder, "two", SilentProgress()):
        assert not stop_requested(folder, "two")
        assert not folder.stop_request.exists()


def test_it_is_written_on_after_the_clock_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The age of the last entry was taken by the wall clock, so that nothing was written until that had caught up."""
    folder = study_folder(tmp_path)
    with keep_live(folder, "one", SilentProgress()) as progress:
        monkeypatch.setattr("rfe.tracking.live.time.time", lambda: 1000.0)
        monkeypatch.setattr("rfe.tracking.live.BEAT_S", 1e-9)
        progress.update(STATUS)
        live = read_live(folder)
        assert live is not None
        assert (live.time, live.search) == (1000.0, STATUS)


NO_TIME = '{"session": "b", "host": "h", "pid": 1, "time": "now", "search": null}'
NO_PID = '{"session": "b", "host": "h", "pid": "1", "time": 1.0, "search": null}'


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"session": "a"', '{"search": {"odd": 1}}', NO_TIME, NO_PID, "\0" * 200]
)
def test_what_cannot_be_understood_is_nothing(tmp_path: Path, text: str) -> None:
    folder = study_folder(tmp_path)
    folder.path.mkdir(parents=True)
    folder.live.write_text(text)
    assert read_live(folder) is None
    folder.stop_request.write_text(text)
    assert not stop_requested(folder, "a")


def test_a_long_configuration_can_be_left_out() -> None:
    live = LiveStatus("a", "h", 1, 2.0, search=STATUS)
    short = live.without_config().search
    assert short is not None
    assert (short.best_config, short.best_score) == ({}, 0.3)
    assert LiveStatus("a", "h", 1, 2.0).without_config().search is None


@pytest.mark.parametrize(
    "change",
    [
        {"pid": "7"},
        {"stage": None},
        {"search": {"total": "20"}},
        {"search": {"total": 20, "epochs": ["4"]}},
        {"search": {"total": 20, "best_config": []}},
        {"search": {}},
    ],
)
def test_a_status_of_other_types_is_none(change: dict[str, object]) -> None:
    """Wrong types in `search` reached the command that prints it."""
    told = LiveStatus("one", "here", 1, 1.0, "search s", STATUS).to_dict()
    assert LiveStatus.of_text(json.dumps(told)) == LiveStatus("one", "here", 1, 1.0, "search s", STATUS)
    assert LiveStatus.of_text(json.dumps(told | {"of a later version": 1})) is not None
    assert LiveStatus.of_text(json.dumps(told | change)) is None
