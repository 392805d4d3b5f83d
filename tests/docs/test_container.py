"""The image's description, as far as it can be checked without a container engine."""

import re
import shlex
import tomllib
from fnmatch import fnmatch

from tests.docs.blocks import ROOT

TEXT = (ROOT / "Containerfile").read_text(encoding="utf-8")
STEPS = [
    tuple(step.split(maxsplit=1))
    for step in TEXT.replace("\\\n", " ").splitlines()
    if step.strip() and not step.startswith("#")
]
LAST = STEPS[max(index for index, (name, _) in enumerate(STEPS) if name == "FROM") :]


def arguments(name: str) -> list[str]:
    return [rest for step, rest in STEPS if step == name]


def test_what_is_copied_exists_and_is_passed_on() -> None:
    ignored = (ROOT / ".containerignore").read_text(encoding="utf-8").split()
    copied = [word for rest in arguments("COPY") if "--from" not in rest for word in shlex.split(rest)[:-1]]
    assert len(copied) == 7
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert {f"!{name}" for name in copied} <= set(ignored)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {project["readme"], "LICENSE"} <= set(copied)
    for link in (path for path in (ROOT / "rfe").iterdir() if path.is_symlink()):
        assert link.resolve().name in copied


def test_it_is_made_by_the_lock_with_a_python_that_is_supported() -> None:
    bases = {rest.split()[0] for rest in arguments("FROM")}
    [version] = {base.rpartition(":")[2].removesuffix("-slim") for base in bases}  # one, as the environment is copied
    assert f"Programming Language :: Python :: {version}" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [install] = [rest for rest in arguments("RUN") if "install.sh" in rest]
    script, folder, level = install.split(" sh ")[1].split("&&")[0].split()
    assert (ROOT / script).is_file()
    assert (ROOT / "requirements" / f"{level}.txt").is_file()
    assert [rest.split()[-1] for rest in arguments("COPY") if "--from" in rest] == [folder]
    [path] = re.findall(r"PATH=(\S+):\$PATH", TEXT)
    assert path == f"{folder}/bin"
    assert re.findall(r"^#   (TORCH_INDEX|EDITABLE) ", (ROOT / script).read_text(encoding="utf-8"), re.MULTILINE)


def test_it_runs_as_a_user_without_home_and_writes_to_its_volume_only() -> None:
    user = [rest for step, rest in LAST if step == "USER"]
    assert user == ["1000:1000"]
    [volume] = [rest for step, rest in LAST if step == "VOLUME"]
    assert f"chown 1000:1000 {volume}" in TEXT
    [environment] = [rest for step, rest in LAST if step == "ENV"]
    variables = dict(word.split("=", 1) for word in shlex.split(environment))
    assert {variables["RFE_WORKSPACE"], variables["RFE_CACHE"]} == {f"{volume}/rfe-workspace", f"{volume}/rfe-cache"}
    assert "HOME" not in variables
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert not [name for name in variables if fnmatch(name, "*TOKEN*") or fnmatch(name, "*PASSWORD*")]
