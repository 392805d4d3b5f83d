"""What pip builds of the repository can be used: the spaces, the types, the console script are in it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rfe import __version__
from rfe.api.authoring import SCAFFOLD
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
    assert {f"rfe/scaffold/{template}" for template in SCAFFOLD.values()} <= names
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


def test_an_install_that_fails_says_what_failed(tmp_path: Path) -> None:
    """With a stand-in for the environment's interpreter, which cannot install anything."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho ERROR: no room left for $5 >&2\nexit 1\n")
    python.chmod(0o755)
    command = ["make", "install", "VENV=env", "PYTHON=true"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "ERROR: no room left" in ended.stdout
    assert "pip install torch==2.13.0 failed; all it said is in env/install.log" in ended.stdout
    assert not (tmp_path / "env" / ".installed").exists()
