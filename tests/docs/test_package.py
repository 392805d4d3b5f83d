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
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rfe import __version__
from rfe.api.authoring import SCAFFOLD
from rfe.data.dataset import load_dataset
from rfe.extras import EXTRAS
from rfe.search_space.ready_made import ready_made
from tests.docs.blocks import ROOT
from tests.unit.data.folders import make_folder
from tests.unit.submission.bundles import configure, export_trained

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.slow
def test_the_wheel_holds_all_that_is_used(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a build leaves files beside what it builds
    for name in ("rfe", "search_spaces", "jobs"):
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
    assert {f"rfe/scaffold/jobs/{path.name}" for path in (ROOT / "jobs").iterdir()} <= names
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


def read_lock(name: str) -> dict[str, list[tuple[str, Marker | None]]]:
    """A lock's packages, by their normal names: the versions, each with the environments that it is for."""
    found: dict[str, list[tuple[str, Marker | None]]] = {}
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in filter(lambda line: line and not line.startswith("#"), text.splitlines()):
        requirement, *hashes = line.split("--hash=sha256:")
        assert hashes, line
        one = Requirement(requirement.strip())
        found.setdefault(canonicalize_name(one.name), []).append((str(one.specifier).removeprefix("=="), one.marker))
    return found


@pytest.mark.parametrize(("lock", "extras"), [("run.txt", ("search", "report")), ("dev.txt", tuple(EXTRAS))])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_each_lock_has_what_the_bounds_ask_for(lock: str, extras: tuple[str, ...], python: str) -> None:
    pinned = read_lock(lock)
    environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.9"}
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    groups += [PROJECT["optional-dependencies"]["dev"]] if lock == "dev.txt" else []
    for one in (Requirement(text) for group in groups for text in group):
        if one.name in ("rfe", "torch"):  # ourselves, and what has no hash that holds on every machine
            assert one.name not in pinned
            continue
        fitting = [v for v, marker in pinned[canonicalize_name(one.name)] if not marker or marker.evaluate(environment)]
        assert len(fitting) == 1
        assert one.specifier.contains(fitting[0])


def test_the_locks_agree_and_name_no_index() -> None:
    run, dev = read_lock("run.txt"), read_lock("dev.txt")
    assert {name: {version for version, _ in dev[name]} for name in run} == {
        name: {version for version, _ in versions} for name, versions in run.items()
    }
    assert not [
        path.name for path in (ROOT / "requirements").glob("*.txt") if "://" in path.read_text(encoding="utf-8")
    ]
    assert (ROOT / "requirements" / "torch.txt").read_text(encoding="utf-8") == "torch==2.13.0\n"


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
        named = {Requirement(text).name.replace("-", "_") for text in PROJECT["optional-dependencies"][extra]}
        assert set(modules) <= named


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of links to what the core brings, and nothing else."""
    site = tmp_path_factory.mktemp("core") / "packages"
    site.mkdir()
    for distribution in _closure(PROJECT["dependencies"]).values():
        for file in distribution.files or []:
            link = site / file.parts[0]
            if ".." not in file.parts and not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(file.parts[0]))))
    assert not (site / "ray").exists()
    return site


def run_core(core: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", *words]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{core}"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240
    )


WITHOUT_EXTRAS = """
from typer.testing import CliRunner
from rfe.cli.program import app

for line in (
    "demo", "ui", "report a", "search demo --data d", "train baselines/concat_mlp --data d",
    "ablate components --data d",
    "baselines --data d", "ensemble a", "export a", "submit --workspace /w -- search demo --data /d", "jobs list",
    "jobs status a", "jobs logs a", "jobs stop a", "studies show a", "studies show a --watch",
    "studies resume a", "studies stop a", "studies repair a", "studies delete a --yes",
):
    ended = CliRunner().invoke(app, line.split())
    print(ended.exit_code, "pip install '.[search]' in /" in ended.output, line)
"""


def test_each_command_that_needs_an_extra_says_so_before_any_work(core: Path, tmp_path: Path) -> None:
    """Before: `rfe demo` simulated data for minutes, `rfe ui` waited for a server, and ended in another message."""
    (tmp_path / "d").mkdir()
    ended = run_core(core, tmp_path, "-c", WITHOUT_EXTRAS)
    lines = ended.stdout.splitlines()
    assert len(lines) == 20, ended.stderr
    assert [line for line in lines if not line.startswith("2 True ")] == []
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_the_core_alone_predicts_and_says_what_a_search_needs(core: Path, tmp_path: Path) -> None:
    dataset = load_dataset(make_folder(tmp_path / "data"))
    bundle, _ = export_trained(tmp_path, dataset, configure())

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return run_core(core, tmp_path, "-m", "rfe", *words)

    predicted = run("predict", str(bundle), "--data", "data", "--output", "answers")
    assert predicted.returncode == 0, predicted.stderr
    assert (tmp_path / "answers/predictions.csv").read_bytes() == (bundle / "predictions.csv").read_bytes()
    doctor = run("doctor", "--workspace", "w")
    known = (
        ROOT / "rfe.egg-info"
    ).is_dir()  # what the package asks for, so that its absence is noticed: no search can run
    assert doctor.returncode == int(known), doctor.stderr + doctor.stdout
    assert ("pip install '.[search]'" in doctor.stdout) == known
    refused = run("search", "demo", "--data", "data")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "which is not installed; install it with: pip install '.[search]' in /" in refused.stderr
