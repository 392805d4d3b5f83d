import os
from pathlib import Path

from rfe.data.file_tree import walk_tree


def test_linked_folders_are_followed_but_not_into_themselves(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.npy").touch()
    (tmp_path / "near").mkdir()
    os.symlink(tmp_path / "far", tmp_path / "near" / "linked")
    os.symlink(tmp_path / "near", tmp_path / "near" / "round")
    os.symlink(tmp_path / "nowhere", tmp_path / "near" / "broken")
    (tmp_path / "near" / ".hidden").mkdir()
    (tmp_path / "near" / ".hidden" / "b.npy").touch()
    found = [path.relative_to(tmp_path / "near").as_posix() for path in walk_tree(tmp_path / "near")]
    assert found == ["broken", "linked", "linked/a.npy", "round"]
