"""What pip builds of the repository can be used: the spaces, the types, the console script are in it; and the core
alone predicts."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from rfe import __version__
from rfe.api.authoring import SCAFFOLD
from rfe.data.dataset import load_dataset
from rfe.errors import EXTRAS
from rfe.search_space.ready_made import ready_made
from tests.docs.blocks import ROOT
from tests.unit.data.folders import make_folder
from tests.unit.submission.bundles import configure, export_trained

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


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


def _closure(names: list[str]) -> dict[str, importlib.metadata.Distribution]:
    """What pip installs for requirements, as far as it is installed here: name -> distribution."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [Requirement(name) for name in names]
    while waiting:
        one = waiting.pop()
        known = one.name.lower().replace("_", "-")
        if known in found and not one.extras:
            continue
        try:
            found[known] = importlib.metadata.distribution(one.name)
        except importlib.metadata.PackageNotFoundError:  # of another platform
            continue
        for text in found[known].requires or []:
            wanted = Requirement(text)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)):
                waiting.append(wanted)
    return found


def test_extras_bring_the_modules_that_are_said_to_be_missing() -> None:
    core = _closure(PROJECT["dependencies"])
    heavy = {module for modules in EXTRAS.values() for module in modules} - {"jinja2", "markupsafe"}  # torch's too
    assert not heavy & core.keys()
    for extra, modules in EXTRAS.items():
        named = {Requirement(text).name for text in PROJECT["optional-dependencies"][extra]}
        assert set(modules) <= named


def test_the_core_alone_predicts_and_says_what_a_search_needs(tmp_path: Path) -> None:
    """In an environment of links to what the core brings, and nothing else."""
    site = tmp_path / "packages"
    site.mkdir()
    for distribution in _closure(PROJECT["dependencies"]).values():
        for file in distribution.files or []:
            link = site / file.parts[0]
            if ".." not in file.parts and not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(file.parts[0]))))
    assert not (site / "ray").exists()
    dataset = load_dataset(make_folder(tmp_path / "data"))
    bundle, _ = export_trained(tmp_path, dataset, configure())

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", "-m", "rfe", *words]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{site}"}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=240
        )

    predicted = run("predict", str(bundle), "--data", "data", "--output", "answers")
    assert predicted.returncode == 0, predicted.stderr
    assert (tmp_path / "answers/predictions.csv").read_bytes() == (bundle / "predictions.csv").read_bytes()
    doctor = run("doctor", "--workspace", "w")
    known = (
        ROOT / "rfe.egg-info"
    ).is_dir()  # what the package asks for, so that its absence is noticed: no search can run
    assert doctor.returncode == int(known), doctor.stderr + doctor.stdout
    assert ("pip install 'rfe[search]'" in doctor.stdout) == known
    refused = run("search", "demo", "--data", "data")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "which is not installed; install it with: pip install 'rfe[search]'" in refused.stderr
