"""The README says what is true: its commands run, its folders exist, and every command is in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, read_blocks
from tests.unit.cli.commands import find_fault, list_commands

README = ROOT / "README.md"
BLOCKS = read_blocks(README)
LINES = [(block.line, line) for block in BLOCKS for line in block.commands]


def _run(code: str, folder: Path) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("RFE_", "MLFLOW_TRACKING"))}
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env={**unset, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{code}\n{ended.stdout}\n{ended.stderr}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader's shell stands: later blocks find what earlier ones wrote."""
    return tmp_path_factory.mktemp("readme")


def test_blocks_are_found_and_all_notes_are_known() -> None:
    assert len(BLOCKS) >= 6
    assert {re.split(r"[:\W]", block.note)[0] for block in BLOCKS} <= {"", "slow", "not"}


@pytest.mark.parametrize(("line", "command"), LINES, ids=lambda value: str(value).split(" --")[0])
def test_each_command_is_one_of_the_program(line: int, command: str) -> None:
    assert find_fault(command) is None, f"README.md, line {line}"


def test_each_command_of_the_program_is_documented() -> None:
    pages = (README, ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md"))
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    missing = [" ".join(words) for words, _ in list_commands() if f"rfe {' '.join(words)}" not in text]
    assert not missing


def test_quick_blocks_run(folder: Path) -> None:
    for block in BLOCKS:
        if not block.note:
            _run(block.code, folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_slow_blocks_run(folder: Path) -> None:
    for block in BLOCKS:
        if not block.note.startswith("not"):
            _run(block.code, folder)
    for block in read_blocks(README, "python"):
        _run(f"python - <<'END'\n{block.code}\nEND", folder)


def test_the_readme_is_short() -> None:
    """What is longer belongs in the guides; prose is what stands outside code, tables and comments."""
    prose = re.sub(
        r"```.*?```|<!--.*?-->|^\|.*$", "", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    assert len(prose.split()) <= 900


def test_the_tree_is_the_repository() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = next(part for part in text.split("```") if "rfe/     " in part)
    named = set()
    for line in tree.strip().splitlines():
        words = re.split(r"\s{2,}", line.strip())[0].split()
        named |= {("rfe/" if line.startswith("  ") else "") + word.rstrip("/") for word in words}
    assert all((ROOT / name).exists() for name in named)
    inside = {f"rfe/{path.name}" for path in (ROOT / "rfe").iterdir() if (path / "__init__.py").is_file()}
    files = {f"rfe/{path.name}" for path in (ROOT / "rfe").glob("*.py") if not path.name.startswith("_")}
    assert inside | files <= named


def test_links_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "reports/README.md", "jobs/README.md"):
        path = ROOT / name
        for target in re.findall(r"\]\((?!http)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{name}: {target}"
