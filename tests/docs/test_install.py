"""`make` sets up an environment with the Python that is there, or says what is missing; with stand-ins for Python."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

PROGRAMS = ("sh", "make", "cat", "cp", "dirname", "grep", "mkdir", "rm", "rmdir", "tail", "touch", "uname")
STAND_IN = """#!/bin/sh
version=VERSION
case "$*" in
    *"sys.version_info <"*) FITS ;;
    *"import ensurepip, venv"*) test -e "$HOME/venv" ;;
    *"print(\\"Python "*) echo "Python $version" ;;
    *-venv*) echo "python$version-venv" ;;
    "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; : > "$3/pyvenv.cfg" ;;
    *"pip --version"*|*compileall*) ;;
    *get_path*) echo packages ;;
    *m.version*) exit 1 ;;
    *"config get"*) exit 1 ;;
    *--target*) echo "$*" >> "$HOME/calls"; test -e "$HOME/uv" || exit 1
        mkdir -p .venv/.uv/bin; cp "$HOME/uv" .venv/.uv/bin/uv ;;
    *) echo "$*" >> "$HOME/calls"; PIP ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        (programs / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "venv").touch()
    return folder


def add_python(project: Path, version: str, fits: bool = True, pip: str = "true", name: str = "") -> Path:
    path = project.parent / "bin" / (name or f"python{version}")
    code = STAND_IN.replace("VERSION", version).replace("FITS", "true" if fits else "exit 1").replace("PIP", pip)
    path.write_text(code)
    path.chmod(0o755)
    return path


def make(project: Path, target: str = ".venv/.installed-run", *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(project.parent / "bin"), "HOME": str(project.parent)}
    return subprocess.run(
        [str(shutil.which("make")), target, *words],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def calls(project: Path) -> list[str]:
    return [line.partition(" install ")[2] for line in (project.parent / "calls").read_text().splitlines()]


def test_the_first_python_that_is_found_is_taken_and_named(project: Path) -> None:
    """Before: "python3.11 is not there", on every system that has a newer one."""
    add_python(project, "3.13")
    add_python(project, "3.12")
    ended = make(project)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("setting up .venv with Python 3.12 ")
    uv, lock, torch, ours = (line.removeprefix("--no-compile --only-binary :all: ") for line in calls(project))
    assert uv == "--no-deps --require-hashes --target .venv/.uv --requirement requirements/uv.txt"
    assert lock == "--no-deps --require-hashes --requirement requirements/run.txt"
    assert torch.endswith(
        "torch==2.13.0" if shutil.which("nvidia-smi") or os.uname().sysname != "Linux" else "2.13.0+cpu"
    )
    assert ours == "--no-deps --no-build-isolation --editable ."
    assert make(project).stdout == "make: '.venv/.installed-run' is up to date.\n"


def test_the_demo_installs_less_than_the_tests_and_nothing_after_them(project: Path) -> None:
    """Before: everyone installed the tools of tests, lint and documentation."""
    add_python(project, "3.11")
    assert make(project, "install").returncode == 0
    assert "requirements/dev.txt" in calls(project)[1]
    assert "up to date" in make(project).stdout


@pytest.mark.parametrize(("code", "by"), [("", "uv"), ("exit 2", "pip")])
def test_uv_installs_the_lock_where_it_can_and_leaves_nothing_behind(project: Path, code: str, by: str) -> None:
    """It takes seconds, and pip more than a minute."""
    program = project.parent / "uv"
    program.write_text(f'#!/bin/sh\necho "uv install $* from $UV_DEFAULT_INDEX" >> "$HOME/calls"\n{code}\n')
    program.chmod(0o755)
    add_python(project, "3.12")
    assert make(project, ".venv/.installed-run", "PIP_INDEX_URL=https://index.example/simple").returncode == 0
    locked = [line for line in calls(project) if "requirements/run.txt" in line]
    assert "--require-hashes --no-build" in locked[0]
    assert locked[0].endswith("from https://index.example/simple")
    assert len(locked) == (1 if by == "uv" else 2)
    assert not (project / ".venv" / ".uv").exists()


def test_no_python_is_one_sentence(project: Path) -> None:
    add_python(project, "3.9", fits=False, name="python3")
    ended = make(project)
    assert ended.returncode != 0
    assert "no Python 3.11, 3.12 or 3.13 is found; install one with venv (Debian" in ended.stderr
    assert not (project / ".venv").exists()
    ended = make(project, ".venv/.installed-run", "PYTHON=python3")
    assert "PYTHON=python3: is no Python 3.11, 3.12 or 3.13" in ended.stderr


def test_a_missing_venv_is_named_and_does_not_stick(project: Path) -> None:
    """Before: after it was installed, the same command said "No module named pip" until `make clean`."""
    add_python(project, "3.12")
    (project.parent / "venv").unlink()
    ended = make(project)
    assert ended.returncode != 0
    assert (
        "python3.12 has no venv and ensurepip; install them (Debian, Ubuntu: apt-get install python3.12-venv)"
        in ended.stderr
    )
    assert not (project / ".venv").exists()
    (project.parent / "venv").touch()
    assert make(project).returncode == 0


def test_a_half_made_environment_is_made_again_and_a_folder_of_something_else_left_alone(project: Path) -> None:
    add_python(project, "3.12")
    environment = project / ".venv"
    environment.mkdir()
    (environment / "notes.txt").touch()
    ended = make(project)
    assert ended.returncode != 0
    assert ".venv: is there, and is no environment of Python; move it away" in ended.stderr
    assert (environment / "notes.txt").exists()
    (environment / "pyvenv.cfg").touch()
    assert make(project).returncode == 0
    assert not (environment / "notes.txt").exists()


def test_an_install_that_fails_says_what_failed(project: Path) -> None:
    add_python(project, "3.12", pip="echo ERROR: no room left >&2; exit 1")
    ended = make(project)
    assert ended.returncode != 0
    assert "ERROR: no room left" in ended.stdout
    assert "--requirement requirements/run.txt failed; all it said is in .venv/install.log" in ended.stderr
    assert not (project / ".venv" / ".installed-run").exists()


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="elsewhere torch has CPU builds only")
def test_where_no_cpu_build_is_offered_the_other_is_taken_and_said(project: Path) -> None:
    add_python(project, "3.12", pip='case "$*" in *+cpu) exit 1 ;; esac')
    ended = make(project)
    assert ended.returncode == 0
    assert "no CPU build of torch is found; taking the package index's" in ended.stdout
    assert [line for line in calls(project) if line.endswith("torch==2.13.0")]
    (project / ".venv" / ".installed-run").unlink()
    assert make(project, ".venv/.installed-run", "TORCH_INDEX=https://index.example/cpu").returncode == 0
    assert calls(project)[-2].endswith("--index-url https://index.example/cpu torch==2.13.0")


SERVICE = """#!/bin/sh
for word; do lock=$word; done
case "$lock" in *MATCH*) echo '{"dependencies": [ANSWER]}' ;; *) echo '{"dependencies": [REST]}' ;; esac
"""
UNKNOWN = '{"name": "ray", "skip_reason": "not found"}'
FINE = '{"name": "numpy", "version": "2", "vulns": []}'
HOLE = '{"name": "ray", "version": "2.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}'


@pytest.mark.parametrize(
    ("answer", "rest", "code", "said"),
    [
        (FINE, FINE, 0, "3 packages were looked up, 0 known vulnerabilities\n"),
        (HOLE, FINE, 1, "ray 2.0: CVE-1; fixed in 2.1\n3 packages were looked up, 1 known vulnerabilities\n"),
        (UNKNOWN, UNKNOWN, 2, "nothing was looked up: the service of known vulnerabilities does not answer\n"),
        (UNKNOWN, FINE, 2, "could not be looked up: ray\n"),
    ],
)
def test_an_audit_that_could_not_look_is_not_a_good_one(
    answer: str, rest: str, code: int, said: str, tmp_path: Path
) -> None:
    """pip-audit itself ends well when its service knows none of the packages."""
    program = tmp_path / "pip-audit"
    program.write_text(SERVICE.replace("MATCH", "dev.txt").replace("ANSWER", answer).replace("REST", rest))
    program.chmod(0o755)
    command = ["python3", str(ROOT / "requirements" / "audit.py"), str(program)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (code, said)
    offline = subprocess.run([*command, "--may-be-offline"], capture_output=True, text=True, check=False)
    assert offline.returncode == (0 if answer == rest == UNKNOWN else code)
