import threading

import pytest

from rfe.tracking import outbox
from rfe.tracking.outbox import Outbox


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_WAIT_S", 0.01)


def new_outbox(notes: list[str], tick_s: float = 1000.0) -> Outbox:
    return Outbox(lambda error: isinstance(error, ValueError), notes.append, str, lambda: notes.append("tick"), tick_s)


def test_order_is_kept_through_an_outage() -> None:
    done: list[int] = []
    notes: list[str] = []
    failures = iter([ConnectionError("no route"), ConnectionError("no route"), None, None, None, None])

    def act(number: int) -> None:
        failure = next(failures)
        if failure is not None:
            raise failure
        done.append(number)

    box = new_outbox(notes)
    for number in range(4):
        box.put(f"trial {number}", lambda number=number: act(number))  # type: ignore[misc]
    assert box.flush(10)
    assert done == [0, 1, 2, 3]
    assert notes == ["no results can be shown for now (no route); they are safe, retrying", "results are shown again"]
    assert box.close(10) == []


def test_what_can_never_work_is_given_up_and_said() -> None:
    done: list[int] = []
    notes: list[str] = []
    box = new_outbox(notes)

    def refuse() -> None:
        raise ValueError("illegal name")

    box.put("trial 1", refuse)
    box.put("trial 2", lambda: done.append(2))
    assert box.close(10) == []
    assert done == [2]
    assert notes == ["trial 1 cannot be shown: illegal name"]


def test_close_says_what_is_left_and_does_not_wait_for_ever() -> None:
    def away() -> None:
        raise ConnectionError("no route")

    box = new_outbox([])
    box.put("trial 1", away)
    box.put("trial 2", away)
    assert not box.flush(0.05)
    assert box.close(0.3) == ["trial 1", "trial 2"]


def test_close_wakes_a_long_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_WAIT_S", 1000.0)
    tried = threading.Event()
    done: list[bool] = []

    def act() -> None:
        if not tried.is_set():
            tried.set()
            raise ConnectionError
        done.append(True)

    box = new_outbox([])
    box.put("trial 1", act)
    assert tried.wait(10)
    assert box.close(10) == []
    assert done == [True]


def test_tick_comes_without_anything_to_do() -> None:
    ticked = threading.Event()
    box = Outbox(lambda _: False, print, str, ticked.set, 0.01)
    assert ticked.wait(10)
    box.close(10)
