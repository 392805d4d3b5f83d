"""A YAML file that says where a folder of any layout has its metadata and the files of each clip.

metadata: {file: labels.csv, columns: {video_id: speaker}}
encoders:
  wavlm: {files: "audio/wavlm/*/{clip}.npy"}
  face: {files: "openface/{clip}/frames.csv", columns: [gaze_yaw, gaze_pitch]}
"""

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from rfe.config.fields import nearest, problems_of
from rfe.config.reading import read_yaml
from rfe.config.schema import Section
from rfe.data.aggregation import SeriesFiles
from rfe.data.features import encoder_name_problem
from rfe.data.layout import Layout, find_metadata
from rfe.data.metadata import COLUMNS, METADATA_FILES
from rfe.data.parts import Files
from rfe.data.series import Reading
from rfe.errors import ConfigError, gather

CLIP = "{clip}"
SUFFIXES = (".npy", ".npz", ".csv")
_WILD = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}


class MetadataFiles(Section):
    """The metadata: one file with a `split` column, or a pair. Left out: found by their published names."""

    file: str | None = None
    """Of all clips, with a column `split` that says train or test; below the folder."""
    train: str | None = None
    """Of the training clips; below the folder."""
    test: str | None = None
    """Of the test clips; below the folder."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Where a column has another name than ours: ours to theirs, `video_id: speaker`."""


class EncoderFiles(Section):
    """The files of one encoder."""

    files: str
    """Where a clip's file lies below the folder; `{clip}` is the clip's name, `*`, `?` and `**/` match anything."""
    form: Literal["series", "vector"] = "series"
    """`series`: [time, channel], of which seven statistics are taken; `vector`: one vector per clip, taken as it is."""
    array: str | None = None
    """`.npz` only: which of its arrays. Left out: there is only one."""
    time_axis: Annotated[int, Field(ge=0)] = 0
    """The axis of an array that is time."""
    columns: list[str] = Field(default_factory=list)
    """`.csv` only: the columns that are channels. Left out: all but those that number or rate the frame."""
    pieces: bool = False
    """Several files of one clip are pieces of its series, such as segments; otherwise they are refused."""


class ImportMapping(Section):
    """What `rfe data import --mapping FILE` reads."""

    metadata: MetadataFiles = Field(default_factory=MetadataFiles)
    """Where labels, actors and folds are. Left out: metadata.csv, or train_metadata.csv and test_metadata.csv."""
    encoders: Annotated[dict[str, EncoderFiles], Field(min_length=1)]
    """Name of an encoder -> where its files are."""


def read_mapping(path: Path, folder: Path) -> Layout:
    """What a data folder is made of, as a mapping file says.

    Args:
        path: the YAML file.
        folder: its paths start here.

    Raises:
        ConfigError: every fault of the mapping at once; a file or pattern that matches nothing, with the nearest name.
        DataError: no metadata is named, and none is found.
    """
    given = read_yaml(Path(path))
    gather(problems_of(ImportMapping, given), ConfigError, str(path))
    mapping = ImportMapping.model_validate(given)
    problems: list[str] = []
    metadata = _place_metadata(mapping.metadata, folder, problems)
    series = tuple(_list_files(name, one, folder, problems) for name, one in sorted(mapping.encoders.items()))
    gather(problems, ConfigError, str(path))
    return Layout(metadata or find_metadata(folder), series, columns=mapping.metadata.columns)


def _place_metadata(files: MetadataFiles, folder: Path, problems: list[str]) -> dict[str, Path]:
    named = {"file": files.file, "train": files.train, "test": files.test}
    if files.file is not None and (files.train is not None or files.test is not None):
        problems.append("metadata: file stands beside train or test; name one file of all clips, or the pair")
    for column in files.columns:
        if column not in COLUMNS:
            guess = nearest(column, COLUMNS)
            problems.append(
                f"metadata.columns: {column!r} is no column of ours"
                + (f"; did you mean {guess}?" if guess else f"; they are {', '.join(COLUMNS)}")
            )
    found = {}
    for (field, text), name in zip(named.items(), METADATA_FILES, strict=True):
        if text is None:
            continue
        if problem := _path_problem(text):
            problems.append(f"metadata.{field}: {problem}")
        elif not (folder / text).is_file():
            problems.append(f"metadata.{field}: {text} is no file below {folder}{_suggest(text, folder)}")
        else:
            found[name] = folder / text
    return found


def _list_files(encoder: str, given: EncoderFiles, folder: Path, problems: list[str]) -> SeriesFiles:
    where = f"encoders.{encoder}"
    if problem := encoder_name_problem(encoder):
        problems.append(f"encoders: {problem}")
    clips: dict[str, Files] = {}
    if problem := _pattern_problem(given.files):
        problems.append(f"{where}.files: {problem}")
    else:
        clips = _match(given.files, folder)
        if not clips:
            problems.append(
                f"{where}.files: {given.files} matches no file below {folder}{_suggest(given.files, folder)}"
            )
    several = [clip for clip, paths in clips.items() if len(paths) > 1]
    if several and not given.pieces:
        first = ", ".join(path.relative_to(folder).as_posix() for path in clips[several[0]][:2])
        problems.append(
            f"{where}.files: {len(several)} clips have more than one file ({first}); narrow the pattern, or say "
            "pieces: true where they are pieces of one series"
        )
    for name, value, suffix in (("array", given.array, ".npz"), ("columns", given.columns, ".csv")):
        if value and not given.files.endswith(suffix):
            problems.append(f"{where}.{name}: is for {suffix} files; {given.files} is none")
    if given.form == "vector" and given.pieces:
        problems.append(f"{where}.pieces: a vector has none; leave it out")
    reading = Reading(given.form, given.array, given.time_axis, tuple(given.columns))
    return SeriesFiles(encoder, clips, reading)


def _match(pattern: str, folder: Path) -> dict[str, Files]:
    """Clip -> the files whose path fits, both by path."""
    expression = re.compile(
        "".join(
            "(?P<clip>[^/]+)" if part == CLIP else _WILD.get(part) or re.escape(part)
            for part in re.split(r"(\{clip\}|\*\*/|[*?])", pattern)
        )
    )
    found: dict[str, Files] = {}
    for path in sorted(folder.glob(pattern.replace(CLIP, "*"))):
        fits = expression.fullmatch(path.relative_to(folder).as_posix())
        if fits and path.is_file() and not path.name.startswith("."):
            found[fits["clip"]] = (*found.get(fits["clip"], ()), path)
    return found


def _pattern_problem(pattern: str) -> str | None:
    if problem := _path_problem(pattern):
        return problem
    if pattern.count(CLIP) != 1:
        return f"{pattern!r} must have {CLIP} once, where the clip's name stands, e.g. wavlm/{CLIP}.npy"
    if re.search(r"[{}\[\]]", pattern.replace(CLIP, "")) or "**" in pattern.replace("**/", ""):
        return f"{pattern!r}: beside {CLIP} it may have *, ? and **/ only"
    if not pattern.endswith(SUFFIXES):
        return f"{pattern!r} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    return None


def _path_problem(text: str) -> str | None:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return f"{text!r} must be a path below the folder"
    return None


def _suggest(text: str, folder: Path) -> str:
    """`; did you mean NAME?` of the first part of a path that is not there."""
    for part in PurePosixPath(text).parts:
        if re.search(r"[*?{]", part):
            break
        if not (folder / part).exists():
            there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
            guess = nearest(part, there)
            return f"; did you mean {guess}?" if guess else f"; {folder} has no {part}"
        folder /= part
    return ""
