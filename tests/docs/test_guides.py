"""The guides say what is true: their code runs, their commands exist, what they include is there."""

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.blocks import ROOT, Block, read_blocks, run_python
from tests.docs.stopped_study import NOTE, write_stopped_study
from tests.unit.cli.commands import find_fault
from tests.unit.cli.invoke import invoke

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
INCLUDED = re.compile(r'^--8<-- "([^":]+)(?::(\w+))?"$', re.MULTILINE)

every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(DOCS)) for page in PAGES])


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stopped")
    write_stopped_study(folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the reader stands."""
    for name in [one for one in os.environ if one.startswith(("RFE_", "MLFLOW_TRACKING"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@every_page
def test_python_runs(page: Path, here: Path, request: pytest.FixtureRequest) -> None:
    blocks = read_blocks(page, "python")
    assert {block.note for block in blocks} <= {"", NOTE}
    if any(block.note for block in blocks):
        shutil.copytree(request.getfixturevalue("stopped"), here, dirs_exist_ok=True)
    run_python(blocks, str(page))


ON_A_STUDY = [
    pytest.param(block, id=f"{page.name}:{block.line}")
    for page in PAGES
    for block in read_blocks(page)
    if block.note == NOTE
]


@pytest.mark.parametrize("block", ON_A_STUDY)
def test_commands_run_on_a_stopped_study(block: Block, here: Path, stopped: Path) -> None:
    """Each block on the study as it was stopped; before, none of these examples was run."""
    shutil.copytree(stopped, here, dirs_exist_ok=True)
    assert block.commands
    for command in block.commands:
        ended = invoke(*shlex.split(command, comments=True)[1:])
        assert ended.exit_code == 0, f"{command}\n{ended.output}"


@every_page
def test_commands_are_the_programs(page: Path) -> None:
    blocks = read_blocks(page)
    assert all(block.note == NOTE or block.note.startswith("not run here:") for block in blocks)
    for block in blocks:
        for command in block.commands:
            assert find_fault(command) is None, f"{page.name}, line {block.line}"


@every_page
def test_what_is_included_is_there(page: Path) -> None:
    for name, section in INCLUDED.findall(page.read_text(encoding="utf-8")):
        text = (ROOT / name).read_text(encoding="utf-8")
        if section:
            assert text.count(f"<!-- --8<-- [start:{section}] -->") == 1, f"{name}: {section}"
            assert text.count(f"<!-- --8<-- [end:{section}] -->") == 1, f"{name}: {section}"


@every_page
def test_what_is_documented_exists(page: Path) -> None:
    for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name


def test_every_page_is_in_the_contents_and_every_picture_is_shown() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert set(_leaves(site["nav"])) == {str(page.relative_to(DOCS)) for page in (*PAGES, *DOCS.rglob("*.ipynb"))}
    shown = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *PAGES))
    for picture in (DOCS / "pictures").iterdir():
        assert f"pictures/{picture.name}" in shown
        assert picture.stat().st_size < 300_000


def _leaves(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [leaf for part in parts for leaf in _leaves(part)]
