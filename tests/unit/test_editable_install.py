"""The documented `pip install -e .`, of a small package by this repository's own settings."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BUILD = "import sys, setuptools.build_meta as build; build.build_editable(sys.argv[1])"
IMPORT = (
    "import site, sys; site.addsitedir(sys.argv[1]); sys.path.insert(0, ''); import rfe, rfe.sub; print(rfe.__file__)"
)


@pytest.mark.parametrize("clone", ["rfe", "clone"])
def test_the_package_is_found_in_the_parent_of_a_clone_of_its_name(clone: str, tmp_path: Path) -> None:
    """Before: in the folder that holds the clone, `import rfe` gave a namespace package without any content."""
    project = tmp_path / clone
    (project / "rfe" / "sub").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, project / name)
    (project / "rfe" / "__init__.py").write_text('__version__ = "1.0"\n')
    (project / "rfe" / "sub" / "__init__.py").touch()
    subprocess.run([sys.executable, "-c", BUILD, str(tmp_path)], cwd=project, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "site-packages"
    zipfile.ZipFile(wheel).extractall(installed)
    command = [sys.executable, "-I", "-S", "-c", IMPORT, str(installed)]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.stdout.strip() == str(project / "rfe" / "__init__.py"), found.stderr
