"""Which files a mapping's pattern means for which clip.

`{clip}` is the clip's name, another name in braces a column of the metadata, and `*`, `?` and `**/` match anything.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rfe.data.file_tree import walk_tree
from rfe.data.metadata import clip_key
from rfe.data.parts import Files
from rfe.data.table import Row
from rfe.suggestions import nearest

CLIP = "{clip}"
SUFFIXES = (".npy", ".npz", ".csv")
_WILD = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
_PLACES = re.compile(r"(\{[^{}/]*\}|\*\*/|[*?])")


def find_columns(pattern: str) -> list[str]:
    """The columns of the metadata that a pattern names in braces.

    >>> find_columns("{speaker}/{clip}_{version}.npy")
    ['speaker', 'version']
    """
    return [part[1:-1] for part in _PLACES.split(pattern) if part.startswith("{") and part != CLIP]


def match_files(pattern: str, folder: Path) -> dict[str, Files]:
    """Clip -> the files whose path fits a pattern with `{clip}`, both by path; one without matches as clip ""."""
    expression, root = _compile(pattern), folder
    for part in PurePosixPath(pattern).parts[:-1]:  # nothing beside the pattern's fixed start need be walked through
        if _PLACES.search(part) or not (root / part).is_dir():
            break
        root /= part
    found: dict[str, Files] = {}
    for path in walk_tree(root):
        fits = expression.fullmatch(path.relative_to(folder).as_posix())
        if fits and path.is_file():
            clip = clip_key(fits["clip"]) if CLIP in pattern else ""
            found[clip] = (*found.get(clip, ()), path)
    return dict(sorted(found.items()))


def match_rows_files(pattern: str, folder: Path, rows: Sequence[Row], filename: str) -> dict[str, Files]:
    """Clip -> its file, of a pattern with columns of the metadata.

    A name may be in the metadata with the extension of its recording and in the folder without.

    Args:
        pattern: has no `*` or `?`.
        folder: where its paths start.
        rows: the metadata.
        filename: which of its columns names the clip.
    """
    found: dict[str, Files] = {}
    for row in rows:
        given = {name: row[name] for name in find_columns(pattern)} | {"clip": row[filename]}
        if not all(given[name] for name in (*find_columns(pattern), "clip")):
            continue
        for values in (given, {name: clip_key(value) for name, value in given.items()}):
            text = "".join(values[part[1:-1]] if part[:1] == "{" else part for part in _PLACES.split(pattern))
            if not path_problem(text) and (folder / text).is_file():
                found[clip_key(row[filename])] = (folder / text,)
                break
    return found


def pattern_problem(pattern: str, columns: Sequence[str], clip_column: str | None) -> str | None:
    """Why a pattern is invalid; None if it is valid.

    Args:
        pattern: the mapping's.
        columns: of the metadata.
        clip_column: names the clip in a table of all clips.
    """
    if problem := path_problem(pattern):
        return problem
    named = find_columns(pattern)
    if clip_column is not None:
        if CLIP in pattern or named:
            return f"{pattern!r} names a file of each clip, but clip_column says that one table holds all; keep one"
    elif CLIP not in pattern and not named:
        return (
            f"{pattern!r} must have {CLIP} once, where the clip's name stands, e.g. wavlm/{CLIP}.npy; of one table of "
            "all clips, clip_column says which column names the clip"
        )
    if re.search(r"[{}\[\]]|\*\*", re.sub(r"\{[^{}/]*\}|\*\*/", "", pattern)):
        return f"{pattern!r}: beside {CLIP} and columns of the metadata in braces it may have *, ? and **/ only"
    for name in named:
        if name not in columns:
            guess = nearest(name, columns)
            told = f"did you mean {guess}?" if guess else f"it has: {', '.join(columns) or 'none'}"
            return f"{pattern!r}: {{{name}}} is no column of the metadata; {told}"
    if named and re.search(r"[*?]", pattern):
        return f"{pattern!r}: with a column of the metadata, * and ? cannot be used; the column names the file"
    if not pattern.lower().endswith(SUFFIXES) and not (named and pattern.endswith("}")):
        return f"{pattern!r} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}; convert other files first"
    if clip_column is not None and not pattern.lower().endswith(".csv"):
        return f"{pattern!r}: one table of all clips is a .csv file"
    return None


def path_problem(text: str) -> str | None:
    """Why a text is not a path below a folder; None if it is one.

    Examples:
        >>> path_problem("train/{clip}.npy") is None, path_problem("../other.npy")
        (True, "'../other.npy' must be a path below the folder")
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return f"{text!r} must be a path below the folder"
    return None


def _compile(pattern: str) -> re.Pattern[str]:
    before, clip, after = pattern.partition(CLIP)
    texts = []
    for part in _PLACES.split(before + clip):
        texts.append("(?P<clip>[^/]+)" if part == CLIP else _WILD.get(part) or re.escape(part))
    for part in _PLACES.split(after):  # the name may be there again, as in {clip}/{clip}.npy
        texts.append("(?P=clip)" if part == CLIP else _WILD.get(part) or re.escape(part))
    return re.compile("".join(texts))
