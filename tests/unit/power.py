"""What a disk holds when the power fails: a folder's files at each call that may change them or make them last.

After CrashMonkey (Mohan et al., OSDI 2018), by the promises of POSIX alone. At each call two disks are kept: `least`
has only what was promised (content of a file as of its last `fsync`, names of a folder as of its last), `most` has all
that was written. A real disk is one of them, or something between.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Tree = dict[str, bytes | None]
"""Path below the folder -> content; None: a folder."""
CALLS = ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir")


@dataclass(frozen=True)
class Moment:
    """The disk before a call."""

    call: str
    acknowledged: int
    """How much the program had been promised by then."""
    least: Tree
    most: Tree


class PowerRecorder:
    """Watches a folder while `recording`; `moments` are what a failure of power could leave of it.

    Args:
        root: the folder, which is on disk already.
        acknowledged: how much has been promised so far.
    """

    def __init__(self, root: Path, acknowledged: Callable[[], int]) -> None:
        self.moments: list[Moment] = []
        self._root, self._acknowledged = root, acknowledged
        self._content: dict[int, bytes] = {}
        self._names: dict[int, dict[str, tuple[int, bool]]] = {root.stat().st_ino: {}}
        """Inode of a folder -> name -> (inode, whether it is a folder)."""
        self._held: dict[int, int] = {}

    @contextmanager
    def recording(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        originals = {name: getattr(os, name) for name in CALLS}

        def watched(name: str) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                self._keep(name)
                result = originals[name](*arguments, **options)
                if name == "fsync":
                    self._promise(arguments[0])
                return result

            return call

        try:
            with monkeypatch.context() as patched:
                for name in CALLS:
                    patched.setattr(os, name, watched(name))
                yield
            self._keep("end")
        finally:
            for number in self._held.values():
                os.close(number)

    def _keep(self, call: str) -> None:
        self.moments.append(
            Moment(call, self._acknowledged(), self._least(self._root.stat().st_ino, ""), read(self._root))
        )

    def _promise(self, number: int) -> None:
        about = os.fstat(number)
        path = Path(os.readlink(f"/proc/self/fd/{number}"))
        if not path.is_relative_to(self._root):
            return
        # held open, so that no later file gets the number
        self._held.setdefault(about.st_ino, os.open(path, os.O_RDONLY))
        if path.is_dir():
            self._names[about.st_ino] = {
                entry.name: (entry.inode(), entry.is_dir(follow_symlinks=False)) for entry in os.scandir(path)
            }
            for entry in os.scandir(path):
                if entry.inode() not in self._held and not entry.is_symlink():
                    self._held[entry.inode()] = os.open(entry.path, os.O_RDONLY)
        else:
            self._content[about.st_ino] = path.read_bytes()

    def _least(self, folder: int, prefix: str) -> Tree:
        tree: Tree = {}
        for name, (inode, is_folder) in self._names.get(folder, {}).items():
            tree[prefix + name] = None if is_folder else self._content.get(inode, b"")
            if is_folder:
                tree |= self._least(inode, f"{prefix}{name}/")
        return tree


def read(root: Path) -> Tree:
    """A folder's files and folders."""
    found = sorted(root.rglob("*"))
    return {path.relative_to(root).as_posix(): None if path.is_dir() else path.read_bytes() for path in found}


def lay(tree: Tree, root: Path) -> None:
    """Make a folder hold just what `tree` says."""
    for name, content in sorted(tree.items()):
        if content is None:
            (root / name).mkdir(parents=True, exist_ok=True)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
