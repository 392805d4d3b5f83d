"""The guides say what is true: their code runs, their commands exist, what they include is there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.blocks import ROOT, read_blocks, run_python
from tests.unit.cli.commands import find_fault

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
INCLUDED = re.compile(r'^--8<-- "([^":]+)(?::(\w+))?"$', re.MULTILINE)

every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(DOCS)) for page in PAGES])


@every_page
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = read_blocks(page, "python")
    assert all(block.note == "" for block in blocks)
    run_python(blocks, str(page))


@every_page
def test_commands_are_the_programs(page: Path) -> None:
    blocks = read_blocks(page)
    assert all(block.note.startswith("not run here:") for block in blocks)
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
