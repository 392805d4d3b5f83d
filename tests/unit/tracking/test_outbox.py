import subprocess
import sys
import threading

import pytest

from rfe.tracking import outbox
from rfe.tracking.outbox import Outbox


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_WAIT_S", 0.01)


def new_outbox(notes: list[str], tick_s: float = 1000.0) -> Outbox:
    return Outbox(lambda error: isinstance(error, ValueError), notes.append, str, lambda: notes.append("tick"), tick_s)


def test_order_is_kept_through_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    notes: list[str] = []
    monkeypatch.setattr(outbox, "SECONDS_UNSAID", 0.0)
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
    assert notes == [
        "is unavailable (no route); results are saved locally, retrying",
        "is available again",
    ]
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


def test_what_is_urgent_comes_before_what_waits() -> None:
    done: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        assert go_on.wait(10)
        done.append("first")

    box = new_outbox([])
    box.put("first", first)
    assert begun.wait(10)
    box.put("trial", lambda: done.append("trial"))
    box.put("outcome", lambda: done.append("outcome"), first=True)
    go_on.set()
    assert box.close(10) == []
    assert done == ["first", "outcome", "trial"]


def test_only_the_request_that_failed_is_repeated() -> None:
    """Before, the whole action was: with every third request failing, an action of ten rarely ended."""
    calls: list[int] = []
    failing = {2, 5}

    def ask(number: int) -> None:
        calls.append(number)
        if number in failing:
            failing.remove(number)
            raise ConnectionError

    box = new_outbox([])
    box.put("trial 1", lambda: [box.request(lambda n=n: ask(n)) for n in range(8)] and None)  # type: ignore[misc]
    assert box.close(10) == []
    assert calls == [0, 1, 2, 2, 3, 4, 5, 5, 6, 7]


def test_a_single_failure_is_not_said() -> None:
    notes: list[str] = []
    failures = iter([ConnectionError("lost"), None])

    def act() -> None:
        if (failure := next(failures)) is not None:
            raise failure

    box = new_outbox(notes)
    box.put("trial 1", act)
    assert box.close(10) == []
    assert notes == []


def test_what_was_given_up_is_known_and_a_thousand_of_it_is_not_said_one_by_one() -> None:
    notes: list[str] = []

    def refuse() -> None:
        raise ValueError("illegal name")

    box = new_outbox(notes)
    for number in range(100):
        box.put(f"trial {number}", refuse)
    assert box.close(10) == []
    assert len(box.refused) == 100
    assert len(notes) == outbox.REFUSALS_SAID


def test_a_closed_terminal_does_not_end_the_thread() -> None:
    done: list[bool] = []

    def note(line: str) -> None:
        raise BrokenPipeError

    def refuse() -> None:
        raise ValueError("illegal name")

    box = Outbox(lambda error: isinstance(error, ValueError), note, str, lambda: None, 1000.0)
    box.put("trial 1", refuse)
    box.put("trial 2", lambda: done.append(True))
    assert box.close(10) == []
    assert done == [True]


ENDING = """
import sys, time
from rfe.tracking.outbox import Outbox
box = Outbox(lambda error: False, print, str, lambda: None, 1000.0)
def draw():
    print("drawing", flush=True)
    time.sleep(1.0)
    print("drawn", flush=True)
box.put("figures", draw)
box.put("never", lambda: box.request(lambda: print("sent after the end", flush=True)))
time.sleep(0.3)
if sys.argv[1] == "closed":
    print(box.close(0.1), flush=True)
"""


@pytest.mark.parametrize("how", ["closed", "left open"])
def test_the_program_waits_for_what_the_thread_is_at_and_sends_no_more(how: str) -> None:
    """Before, the thread was a daemon: the interpreter ended under it, which aborts a process that draws."""
    ended = subprocess.run([sys.executable, "-c", ENDING, how], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split("\n")[:2] == ["drawing", "drawn"]
    assert "sent" not in ended.stdout
