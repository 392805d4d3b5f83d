"""Colours where they should be, and nowhere else; what is said with --quiet."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.invoke import invoke
from tests.unit.data.folders import make_folder

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|9[0-7]|4[0-8]|10[0-7])[;m]")
LINES = ["data check data", "studies list", "data check nowhere", "search everything --set a.b=1"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "RFE_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("line", LINES)
def test_what_is_no_terminal_gets_plain_text(line: str) -> None:
    assert "\x1b" not in invoke(*line.split()).output


@pytest.mark.parametrize("line", LINES)
def test_colours_can_be_turned_off(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not COLOUR.search(invoke(*line.split()).output)


def test_help_and_the_parsers_own_words_too() -> None:
    """Typer looks at the environment when it is imported."""
    code = "from rfe.cli import main; main()"
    for words, colours in ((["--help"], False), (["--help"], True), (["search", "x", "--trails"], False)):
        plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        environment = {**plain, "FORCE_COLOR": "1", "TERM": "xterm-256color", **({} if colours else {"NO_COLOR": "1"})}
        ended = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, env=environment
        )
        assert ended.returncode == (2 if "search" in words else 0)
        assert bool(COLOUR.search(ended.stdout + ended.stderr)) == colours


@pytest.mark.parametrize("word", ["--quiet", "-q"])
def test_quiet_is_the_result_and_no_more(word: str) -> None:
    line = "data simulate -o sim --actors 5 --test-actors 1 --clips-per-actor 2"
    loud, quiet = invoke(*line.split()), invoke(*line.split(), word)
    assert "simulating" in loud.stderr
    assert quiet.stderr == ""
    assert loud.stdout == quiet.stdout
    assert "simulated data is in sim" in quiet.stdout
