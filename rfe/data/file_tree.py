"""Walks everything below a folder, symbolic links included."""

import os
from collections.abc import Iterator
from pathlib import Path


def walk_tree(folder: Path) -> Iterator[Path]:
    """Files and folders below `folder`, sorted within each folder, at any depth.

    Linked folders are followed, which `Path.rglob` does not do, except into themselves. Hidden ones are passed over, as
    parts of imports and downloads are hidden; so is what macOS packs beside files.
    """
    yield from _walk(folder, {os.path.realpath(folder)})


def _walk(folder: Path, above: set[str]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__MACOSX")):
            continue
        yield path
        if path.is_dir() and (real := os.path.realpath(path)) not in above:
            yield from _walk(path, above | {real})
