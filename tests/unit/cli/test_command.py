"""How commands end: one sentence, the right exit code, and where the traceback is."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

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
        r"error: internal error, please report \(ValueError: it is seven\); its traceback is in (.+)\n", ended.stderr
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


def _run(code: str, **arguments: Any) -> "subprocess.Popen[bytes]":
    """`rfe data check sim` in a process of its own, where `code` is what it does."""
    program = (
        "import os, signal, sys, time\n"
        "from rfe import api\n"
        f"def check_data(folder):\n    {code}\n"
        "api.check_data = check_data\n"
        "sys.argv = ['rfe', 'data', 'check', 'sim']\n"
        "from rfe.cli import main\n"
        "main()\n"
    )
    return subprocess.Popen([sys.executable, "-c", program], **arguments)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_ends_a_command_with_a_sentence(name: str) -> None:
    """Before: SIGTERM and SIGHUP ended it without a word, and without tidying up."""
    child = _run(
        f"\n    try: os.kill(os.getpid(), signal.{name}); time.sleep(60)\n    finally: print('tidied up')",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said = child.communicate(timeout=60)
    assert (child.returncode, *said) == (130, b"tidied up\n", b"error: interrupted\n")


def test_with_nohup_a_command_goes_on() -> None:
    child = _run(
        "os.kill(os.getpid(), signal.SIGHUP); sys.exit(7)",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert child.wait(timeout=60) == 7


def test_output_that_is_read_no_more_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    child = _run("print('x' * 100000, flush=True)", stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (child.communicate(timeout=60)[1], child.returncode) == (b"", 0)


def test_a_pipe_that_breaks_elsewhere_is_an_error(tmp_path: Path) -> None:
    """Before: exit code 0, as if the reader of our output had seen enough."""
    child = _run(
        "raise BrokenPipeError(32, 'Broken pipe')", stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert b"Broken pipe" in child.communicate(timeout=60)[1]
    assert child.returncode == 1
