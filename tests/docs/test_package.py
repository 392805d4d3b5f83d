"""What pip builds of the repository can be used: the spaces, the types, the console script are in it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rfe import __version__
from rfe.search_space.ready_made import ready_made
from tests.docs.blocks import ROOT


@pytest.mark.slow
def test_the_wheel_holds_all_that_is_used(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a build leaves files beside what it builds
    for name in ("rfe", "search_spaces"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, source], check=True)
    [wheel] = tmp_path.glob("rfe-*.whl")
    assert wheel.name.startswith(f"rfe-{__version__}-")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"rfe/search_spaces/{name}.yaml" for name in ready_made()} | {"rfe/py.typed"} <= names
    assert not [name for name in names if not name.startswith(("rfe/", "rfe-"))]
    subprocess.run([*pip, "install", "--no-deps", "--target", tmp_path / "site", wheel], check=True)
    code = "import rfe; from rfe.search_space.ready_made import find_space; print(rfe.__file__, find_space('demo'))"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "site", capture_output=True, text=True, check=True
    )
    assert all(path.startswith(str(tmp_path / "site")) for path in ended.stdout.split())
    assert (tmp_path / "site" / "bin" / "rfe").is_file()


def test_the_changelog_knows_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_pins_fit_the_torch_that_make_installs() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert "torch==2.13.0" in pins
    assert "torch==2.13.0" in (ROOT / "Makefile").read_text(encoding="utf-8")
