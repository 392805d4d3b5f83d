"""Help, examples and typing errors answer at once and rightly."""

import subprocess
import sys
from pathlib import Path

import pytest

from rfe import __version__
from tests.unit.cli.commands import find_fault, list_commands
from tests.unit.cli.invoke import invoke

HEAVY = {"torch", "ray", "pandas", "mlflow", "sklearn", "optuna", "matplotlib", "scipy", "numpy"}
COMMANDS = dict(list_commands())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["search", "--help"], 0), (["search", "--trails", "3"], 2), (["--version"], 0)],
)
def test_answers_without_loading_anything_heavy(arguments: list[str], code: int) -> None:
    program = (
        "import sys\nfrom rfe.cli import main\ntry: main()\nfinally: print('loaded', *sys.modules, file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stderr
    loaded = set(ended.stderr.rpartition("loaded")[2].split())
    assert "rfe.cli.program" in loaded
    assert not (HEAVY | {"rfe.config.schema"}) & loaded


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_has_help_and_an_example_that_parses(words: tuple[str, ...]) -> None:
    helped = invoke(*words, "--help")
    assert helped.exit_code == 0
    label, example = COMMANDS[words].epilog.split(": ", 1)
    assert label == "Example"
    assert find_fault(example) is None
    assert example.startswith(" ".join(("rfe", *words)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_takes_the_common_options(words: tuple[str, ...]) -> None:
    options = {option for parameter in COMMANDS[words].params for option in parameter.opts}
    assert {"--workspace", "--quiet", "--verbose"} <= options


def test_results_can_be_had_as_json() -> None:
    options = {words: {option for one in command.params for option in one.opts} for words, command in COMMANDS.items()}
    without = {words for words, known in options.items() if "--json" not in known}
    assert without == {("ui",), ("schema",)}  # prints no result; nothing but JSON


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(["serch"], "search"), (["data", "chek", "x"], "check"), (["search", "everything", "--trails", "3"], "--trials")],
)
def test_a_mistyped_word_is_answered_with_the_nearest(arguments: list[str], meant: str) -> None:
    ended = invoke(*arguments)
    assert ended.exit_code == 2
    assert meant in ended.output


def test_no_words_show_the_help() -> None:
    assert "demo" in invoke().output


def test_the_help_says_what_exit_codes_mean() -> None:
    said = " ".join(invoke("--help").output.split())
    assert "Exit codes: 0 fine; 1 an internal error" in said
    assert "130 interrupted" in said


def test_version() -> None:
    assert invoke("--version").output == f"rfe {__version__}\n"


def test_fault_finder_finds_faults() -> None:
    assert find_fault("rfe searc x") is not None
    assert find_fault("rfe search x --nope") is not None
    assert find_fault("rfe search everything --data d --set a=1 --set b=2") is None


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_standard_stream_that_was_closed_is_no_file_of_ours(number: int, tmp_path: Path) -> None:
    """Before: the first file that was opened got its number, and what was written to standard error went into it."""
    code = (
        "import os, sys\n"
        "from rfe.cli.program import open_standard_streams\n"
        "open_standard_streams()\n"
        "own = os.open('own', os.O_CREAT | os.O_WRONLY)\n"
        "print('said'); print('said', file=sys.stderr); sys.stdin.readline()\n"
        "sys.exit(own if os.path.getsize('own') == 0 else 99)\n"
    )
    ended = subprocess.run(
        ["bash", "-c", f'exec "$0" "$@" {number}>&-', sys.executable, "-c", code],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert 2 < ended.returncode < 99, ended.stderr
