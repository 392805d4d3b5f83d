"""A space is named by its file, or by the name of a ready-made one."""

from pathlib import Path

import pytest

from rfe.errors import ConfigError
from rfe.search_space.ready_made import find_space, ready_made

TOP = Path(__file__).parents[3] / "search_spaces"


def test_ready_made_ones_are_those_of_the_repository() -> None:
    assert set(ready_made()) == {path.relative_to(TOP).with_suffix("").as_posix() for path in TOP.rglob("*.yaml")}


def test_a_file_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_space("everything").samefile(TOP / "everything.yaml")
    assert find_space("baselines/concat_mlp").samefile(TOP / "baselines" / "concat_mlp.yaml")
    monkeypatch.chdir(tmp_path)
    Path("everything").write_text("study: mine\n")
    assert find_space("everything") == Path("everything")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("everthing", "did you mean everything"),
        ("mine.yaml", "mine.yaml does not exist; give a YAML file"),
        (".", "is a folder"),
    ],
)
def test_anything_else_is_refused(given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said):
        find_space(given)
