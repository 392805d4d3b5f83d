"""How commands end: one sentence, the right exit code, and where the traceback is."""

import re
from pathlib import Path

import pytest
import typer

from rfe import api
from rfe.errors import DataError, TrialError
from tests.unit.cli.invoke import invoke


def _fail(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def check_data(folder: Path) -> None:
        raise error

    monkeypatch.setattr(api, "check_data", check_data)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("sim/metadata.csv: no clip"), 2, "sim/metadata.csv: no clip"),
        (TrialError("no trial finished"), 1, "no trial finished"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (typer.Abort(), 130, "interrupted"),
        (
            PermissionError(13, "Permission denied", "/data/x"),
            2,
            "/data/x: Permission denied; check its permissions, or choose another folder",
        ),
        (
            OSError(28, "No space left on device"),
            2,
            "a file: No space left on device; make room there, or choose another folder; what was whole is kept",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str) -> None:
    _fail(monkeypatch, error)
    ended = invoke("data", "check", "sim")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (code, "", f"error: {said}\n")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_can_be_left_out(monkeypatch: pytest.MonkeyPatch, no_color: str) -> None:
    _fail(monkeypatch, DataError("no clip"))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", no_color)
    assert ("\x1b[1;31m" in invoke("data", "check", "sim").stderr) == (not no_color)


def test_a_fault_of_ours_says_where_its_traceback_is(monkeypatch: pytest.MonkeyPatch) -> None:
    _fail(monkeypatch, ValueError("it is seven"))
    ended = invoke("data", "check", "sim")
    assert ended.exit_code == 1
    found = re.fullmatch(
        r"error: a fault of ours \(ValueError: it is seven\); its traceback is in (.+)\n", ended.stderr
    )
    assert found is not None
    path = Path(found[1])
    assert "in check_data" in path.read_text()
    path.unlink()


def test_verbose_lets_the_traceback_through(monkeypatch: pytest.MonkeyPatch) -> None:
    _fail(monkeypatch, ValueError("it is seven"))
    ended = invoke("data", "check", "sim", "--verbose")
    assert ended.exit_code == 1
    assert isinstance(ended.exception, ValueError)
