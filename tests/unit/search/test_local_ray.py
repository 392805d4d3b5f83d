"""How a local Ray is started, and what is said when it does not start; Ray's own start is replaced."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray

from rfe.errors import ConfigError
from rfe.search import local_ray, preconditions
from rfe.search.preconditions import Finding

SLOW = "The current node timed out during startup. This could happen because some of the raylet failed to startup"
Start = Callable[..., None]


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(local_ray, "scratch_folder", lambda: tmp_path)
    monkeypatch.setattr(local_ray, "refuse_impossible", lambda: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)


def starts(monkeypatch: pytest.MonkeyPatch, *errors: Exception | None) -> list[dict[str, Any]]:
    """Have each start of Ray end so; returns the arguments of each, and the token it found."""
    asked: list[dict[str, Any]] = []

    def init(**arguments: Any) -> None:
        asked.append(arguments | {"token": os.environ.get("RAY_AUTH_TOKEN")})
        os.environ["RAY_AUTH_MODE"] = "token"  # as Ray does
        if (error := errors[len(asked) - 1]) is not None:
            raise error

    monkeypatch.setattr(ray, "init", init)
    return asked


def start(notes: list[str] | None = None) -> None:
    said: list[str] = [] if notes is None else notes
    with local_ray.local_ray(None, said.append, {}):
        pass


def test_it_needs_no_home_and_leaves_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before: a token in ~/.ray, for which every later `ray start` asked, and an error where HOME is read-only."""
    asked = starts(monkeypatch, None, None)
    with local_ray.local_ray(None, print, {}):
        assert os.environ["RAY_AUTH_TOKEN"] == asked[0]["token"]
    assert not {"RAY_AUTH_TOKEN", "RAY_AUTH_MODE"} & os.environ.keys()
    assert asked[0]["_temp_dir"] == str(tmp_path)
    start()
    assert asked[0]["token"] != asked[1]["token"]
    assert min(len(one["token"]) for one in asked) >= 32


def test_a_token_that_the_user_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    asked = starts(monkeypatch, None)
    start()
    assert asked[0]["token"] == "mine" == os.environ["RAY_AUTH_TOKEN"]
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.parametrize(("mode", "given"), [("token", True), ("disabled", False)])
def test_a_mode_that_the_user_set_is_kept(monkeypatch: pytest.MonkeyPatch, mode: str, given: bool) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    asked = starts(monkeypatch, None)
    start()
    assert (asked[0]["token"] is not None) == given
    assert os.environ["RAY_AUTH_MODE"] == mode


@pytest.mark.parametrize(
    "error", [Exception(SLOW), TimeoutError("Timed out after 30 seconds"), RuntimeError("Timed out")]
)
def test_a_start_that_takes_too_long_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Before: two tries, of which both failed at times on a machine that was only busy."""
    notes: list[str] = []
    asked = starts(monkeypatch, error, error, error, None)
    start(notes)
    assert len(asked) == 4
    assert notes == [f"Ray did not start within its 30 s; try {n} of {local_ray.TRIES}" for n in (2, 3, 4)]


def test_what_never_starts_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = starts(monkeypatch, *(Exception(SLOW) for _ in range(local_ray.TRIES)))
    with pytest.raises(
        ConfigError, match=r"did not start \(The current.*busy, end some.*logs are in .*/logs"
    ) as raised:
        start()
    assert len(asked) == local_ray.TRIES
    assert str(tmp_path) in str(raised.value)
    assert not {"RAY_AUTH_TOKEN", "RAY_AUTH_MODE"} & os.environ.keys()


def test_what_is_no_timeout_is_not_repeated_and_what_is_scarce_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = starts(monkeypatch, OSError("broken\nmore"))
    scarce = Finding("open files", "at most 300", "look", "raise it: ulimit -n 65536")
    monkeypatch.setattr(local_ray, "find_conditions", lambda: [scarce])
    with pytest.raises(ConfigError, match=r"\(broken\); open files: at most 300; raise it: ulimit -n 65536; its logs"):
        start()
    assert len(asked) == 1


def test_without_room_in_shared_memory_ray_is_given_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = starts(monkeypatch, None, None)
    monkeypatch.setattr(local_ray, "shared_memory_is_enough", lambda: True)
    start()
    monkeypatch.setattr(local_ray, "shared_memory_is_enough", lambda: False)
    start()
    assert [one.get("_plasma_directory") for one in asked] == [None, str(tmp_path)]


def test_processes_of_a_start_that_failed_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray forgets them: they would take memory and time from the second try."""
    from ray._private.node import Node

    ended = []

    class Begun(Node):  # type: ignore[misc]
        def __init__(self) -> None:
            self.all_processes = {"raylet": [1]}
            raise Exception(SLOW)

        def kill_all_processes(self, check_alive: bool = True, allow_graceful: bool = False) -> None:
            ended.append(self.all_processes)

        def __del__(self) -> None:
            pass

    tries = iter([Begun, lambda: None])
    monkeypatch.setattr(ray, "init", lambda **_: next(tries)())
    start()
    assert ended == [{"raylet": [1]}]


def test_what_makes_a_start_impossible_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        preconditions, "find_conditions", lambda: [Finding("a", "b", "look", "c"), Finding("d", "e", "wrong", "f")]
    )
    with pytest.raises(ConfigError, match=r"^no local Ray can start here: d: e; f$"):
        preconditions.refuse_impossible()
