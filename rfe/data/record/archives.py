"""Which files of a record are archives, what each unpacks to, and which stay packed."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from rfe.data.faults import list_names

_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.lzma", ".tlz")
_FOLDERS = (".zip", *_TARS)
_FILES = (".gz", ".bz2", ".xz", ".lzma")
_LEFT = {
    **dict.fromkeys((".7z", ".7z.001", ".zip.001", ".z01"), "7z x"),
    **dict.fromkeys((".rar", ".r00"), "unrar x"),
    **dict.fromkeys((".tar.zst", ".tzst"), "tar --zstd -xf"),
    **dict.fromkeys((".tar.lz",), "tar --lzip -xf"),
    **dict.fromkeys((".tar.lz4",), "lz4 -d"),
    **dict.fromkeys((".zst",), "unzstd"),
    **dict.fromkeys((".lz4",), "lz4 -d"),
    **dict.fromkeys((".lz",), "lzip -d"),
    **dict.fromkeys((".tar.z", ".taz", ".z"), "uncompress"),
    **dict.fromkeys((".sit", ".sitx", ".ace", ".arj", ".lha", ".lzh"), "unar"),
}
"""Suffix of an archive that Python cannot read -> the program that unpacks it."""


def archive_stem(name: str) -> str | None:
    """`data.tar.gz` -> `data`, `labels.csv.gz` -> `labels.csv`; None if it is no archive that is unpacked here.

    Examples:
        >>> archive_stem("data.tar.gz"), archive_stem("labels.csv.gz"), archive_stem("readme.md")
        ('data', 'labels.csv', None)
    """
    suffix = _suffix(name)
    return name[: -len(suffix)] if suffix in (*_FOLDERS, *_FILES) else None


def is_one_file(name: str) -> bool:
    """Whether an archive holds one file without a name of its own (`labels.csv.gz`) and not a folder.

    Examples:
        >>> is_one_file("labels.csv.gz"), is_one_file("data.tar.gz")
        (True, False)
    """
    return _suffix(name) in _FILES


def plan_targets(names: Iterable[str]) -> dict[str, str]:
    """Where each archive of a record is unpacked: its name without suffix, where that is its own.

    Args:
        names: of all files of the record, so that `--only` changes no place.

    >>> plan_targets(["a.zip", "same.zip", "same.tar.gz", "notes.txt"])
    {'a.zip': 'a', 'same.zip': 'same-zip', 'same.tar.gz': 'same-tar-gz'}
    """
    names = list(names)
    stems = {name: stem for name in names if (stem := archive_stem(name)) is not None}
    # some file systems take `Data` and `data` for the same
    taken = Counter(
        one.casefold() for name in names for one in {name, *map(str, PurePosixPath(name).parents)} if one != "."
    )
    taken.update(stem.casefold() for stem in stems.values())
    targets = {}
    for name, stem in stems.items():
        if taken[stem.casefold()] > 1:
            stem = f"{stem}-{_suffix(name)[1:].replace('.', '-')}"
            while taken[stem.casefold()]:
                stem += "-unpacked"
            taken[stem.casefold()] += 1
        targets[name] = stem
    return targets


def packed_note(names: Iterable[str]) -> str | None:
    """A sentence on the archives that stay packed, with the programs that unpack them; None if there are none."""
    by_program: dict[str, list[str]] = {}
    for name in names:
        if program := _LEFT.get(_suffix(name)):
            by_program.setdefault(program, []).append(name)
    if not by_program:
        return None
    told = "; ".join(f"{list_names(files)} (unpack with `{program}`)" for program, files in by_program.items())
    return f"still packed, as Python alone cannot read them: {told}"


def _suffix(name: str) -> str:
    """The longest known suffix in small letters; "" where nothing stands before it, or none is known."""
    known = (one for one in (*_FOLDERS, *_FILES, *_LEFT) if name.lower().endswith(one))
    suffix = max(known, key=len, default="")
    return suffix if PurePosixPath(name).name.lower() != suffix else ""
