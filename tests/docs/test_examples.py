"""Examples in docstrings run and print what they say."""

import doctest
import importlib
import shutil
from pathlib import Path

import pytest

import rfe
from tests.docs.stopped_study import write_stopped_study

PACKAGE = Path(rfe.__file__).parent
MODULES = [
    ".".join(one.relative_to(PACKAGE.parent).with_suffix("").parts)
    for one in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in one.read_text(encoding="utf-8")
]
NAMED = ("first", "my-data", "rfe-workspace")
"""An example with one of these needs the stopped study, or its data."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stopped study `first` on the data folder `my-data`."""
    folder = tmp_path_factory.mktemp("examples")
    write_stopped_study(folder)
    (folder / "my-data").symlink_to("data")
    return folder


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RFE_WORKSPACE", raising=False)
    found = doctest.DocTestFinder().find(importlib.import_module(name), name, extraglobs={"rfe": rfe})
    for number, one in enumerate(test for test in found if test.examples):
        place = tmp_path / str(number)  # of its own, since examples change the study
        if any(word in (one.docstring or "") for word in NAMED):
            shutil.copytree(made, place, symlinks=True)
        else:
            place.mkdir()
        monkeypatch.chdir(place)
        said: list[str] = []
        doctest.DocTestRunner(verbose=False).run(one, out=said.append)
        assert not said, "".join(said)
