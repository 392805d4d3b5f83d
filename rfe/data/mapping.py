"""Mapping files: YAML that describes where a folder of any layout has its metadata and each clip's files.

```yaml
metadata: {file: labels.csv, columns: {video_id: speaker}}   # our column: its name there
encoders:
  wavlm: {files: "audio/wavlm/*/{clip}.npy"}                 # an array [time, channel] for each clip
  face: {files: "openface/{clip}/frames.csv", columns: ["gaze_*", "AU01_r:AU45_r"], without: ["AU28_*"]}
  text: {files: "text/{transcript}.npy", form: vector}       # `transcript`: a column of labels.csv
  egemaps: {files: egemaps.csv, clip_column: file, form: vector}   # one table of all clips
task: {name: moods, classes: [joy, awe, neu], blends: all, never_blend: [neu]}   # left out: BlEmoRE's labels
```
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from rfe.config.fields import problems_of
from rfe.config.reading import read_yaml
from rfe.config.schema import Section
from rfe.data.aggregation import SeriesFiles
from rfe.data.clip_table import list_table_clips
from rfe.data.columns import is_ours
from rfe.data.faults import Faults
from rfe.data.features import encoder_name_problem
from rfe.data.layout import Layout, find_metadata
from rfe.data.matching import SUFFIXES, find_columns, match_files, match_rows_files, path_problem, pattern_problem
from rfe.data.metadata import COLUMNS, METADATA_FILES
from rfe.data.parts import Files
from rfe.data.reading import Reading
from rfe.data.table import Row, read_table
from rfe.data.task import parse_task
from rfe.errors import ConfigError, DataError, gather
from rfe.suggestions import nearest


class MetadataFiles(Section):
    """The metadata: one file with a `split` column, or a pair. Left out: found by their published names."""

    file: str | None = None
    """Of all clips, with a column `split` that says train or test; below the folder."""
    train: str | None = None
    """Of the training clips; below the folder."""
    test: str | None = None
    """Of the test clips; below the folder."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Where a column has another name than ours: ours to theirs, `video_id: speaker`. One of ours that is there as well
    is not used."""


class EncoderFiles(Section):
    """The files of one encoder: one or several for each clip, or one table of all clips."""

    files: str
    """Where a clip's file is below the folder. `{clip}` is the clip's name; `*`, `?` and `**/` match anything. Another
    name in braces is a column of the metadata, whose value for the clip is put there: `wavlm/{wav_file}.npy`."""
    form: Literal["series", "vector"] = "series"
    """`series`: [time, channel], of which seven statistics are taken; `vector`: one vector per clip, taken as it is."""
    clip_column: str | None = None
    """`.csv` only: `files` is one table of all clips, and this column names the clip of each row (`audio/a.wav` names
    clip `a`). A clip's rows are adjacent: one for `form: vector`, one for each frame for `form: series`."""
    array: str | None = None
    """`.npz` only: which of its arrays. Left out: there is only one."""
    time_axis: Annotated[int, Field(ge=0)] = 0
    """The axis of an array that is time."""
    columns: list[str] = Field(default_factory=list)
    """`.csv` only: the columns that are channels: names, patterns (`F0*`) and ranges in the table's order
    (`mfcc_0:mfcc_12`). Left out: all but those that are known to number, time, name, rate or label a frame; the import
    says which these are."""
    without: list[str] = Field(default_factory=list)
    """`.csv` only: columns that are left out, in the same form."""
    header: bool | None = None
    """`.csv` only: whether the first line names the columns. Left out: it does unless it is all numbers; a first line
    of which this cannot be told, as `0,1`, is refused. Columns without names are 0, 1, ..."""
    pieces: bool = False
    """Several files of one clip are pieces of its series, such as segments; otherwise they are refused."""


class ImportMapping(Section):
    """What `rfe data import --mapping FILE` reads."""

    metadata: MetadataFiles = Field(default_factory=MetadataFiles)
    """Where labels, actors and folds are. Left out: metadata.csv, or train_metadata.csv and test_metadata.csv."""
    encoders: Annotated[dict[str, EncoderFiles], Field(min_length=1)]
    """Name of an encoder -> where its files are."""
    task: dict[str, Any] | None = None
    """Which labels the clips have, as in `task.yaml` (see `rfe.task.TaskFile`). Left out: BlEmoRE's, or those of a
    `task.yaml` beside the metadata."""


def read_mapping(path: Path, folder: Path) -> Layout:
    """Read from a mapping file which files a data folder is made from.

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
    task = None if mapping.task is None else parse_task(mapping.task, f"{path}: task")
    problems: list[str] = []
    metadata = _place_metadata(mapping.metadata, folder, problems)
    rows = _Rows(folder, tuple(metadata.values()), mapping.metadata.columns.get("filename", "filename"))
    series = tuple(_list_files(name, one, rows, problems) for name, one in sorted(mapping.encoders.items()))
    gather(problems, ConfigError, str(path))
    return Layout(metadata or find_metadata(folder), series, columns=mapping.metadata.columns, task=task)


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
        if problem := path_problem(text):
            problems.append(f"metadata.{field}: {problem}")
        elif not (folder / text).is_file():
            problems.append(f"metadata.{field}: {text} is no file below {folder}{_suggest(text, folder)}")
        else:
            found[name] = folder / text
    return found


def _list_files(encoder: str, given: EncoderFiles, metadata: "_Rows", problems: list[str]) -> SeriesFiles:
    where, folder = f"encoders.{encoder}", metadata.folder
    if problem := encoder_name_problem(encoder):
        problems.append(f"encoders: {problem}")
    reading = Reading(
        given.form,
        given.array,
        given.time_axis,
        tuple(given.columns),
        tuple(given.without),
        given.header,
        given.clip_column,
    )
    problems += [f"{where}.{problem}" for problem in _field_problems(given)]
    clips: dict[str, Files] = {}
    if problem := pattern_problem(
        given.files, metadata.columns if find_columns(given.files) else (), given.clip_column
    ):
        problems.append(f"{where}.files: {problem}")
        return SeriesFiles(encoder, clips, reading)
    if find_columns(given.files):
        clips = match_rows_files(given.files, folder, metadata.rows, metadata.filename)
    else:
        clips = match_files(given.files, folder)
    if not clips:
        problems.append(f"{where}.files: {given.files} matches no file below {folder}{_suggest(given.files, folder)}")
    if given.clip_column is not None:
        try:
            clips = _list_tables(clips.get("", ()), reading)
        except DataError as error:
            problems.append(f"{where}: {error}")
            return SeriesFiles(encoder, {}, reading)
    strange = [path for paths in clips.values() for path in paths if path.suffix.lower() not in SUFFIXES]
    if strange:
        problems.append(f"{where}.files: {strange[0]} is no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    several = [clip for clip, paths in clips.items() if len(paths) > 1]
    if several and not given.pieces:
        first = ", ".join(path.relative_to(folder).as_posix() for path in clips[several[0]][:2])
        problems.append(
            f"{where}.files: {len(several)} clips have more than one file ({first}); narrow the pattern, or say "
            "pieces: true where they are pieces of one series"
        )
    return SeriesFiles(encoder, clips, reading)


def _list_tables(paths: Files, reading: Reading) -> dict[str, Files]:
    clips: dict[str, Files] = {}
    for path in paths:
        for clip in list_table_clips(path, reading):
            clips[clip] = (*clips.get(clip, ()), path)
    return clips


def _field_problems(given: EncoderFiles) -> list[str]:
    """Fields that do not go with the file's kind, with each other, or with what a feature is."""
    problems = []
    fields = (
        ("array", given.array, ".npz"),
        ("columns", given.columns, ".csv"),
        ("without", given.without, ".csv"),
        ("header", given.header is not None, ".csv"),
    )
    for name, value, suffix in fields:
        if value and not given.files.lower().endswith((suffix, "}")):
            problems.append(f"{name}: is for {suffix} files; {given.files} is none")
    for name in given.columns:
        if is_ours(name):
            problems.append(f"columns: {name} is a column of the metadata, a label leak as a feature; leave it out")
    if given.form == "vector" and given.pieces:
        problems.append("pieces: a vector has none; leave it out")
    if given.clip_column is not None and given.pieces:
        problems.append("pieces: one table holds all clips; leave it out")
    return problems


@dataclass(frozen=True)
class _Rows:
    """The metadata as given, for patterns that name their columns; read once it is needed."""

    folder: Path
    named: tuple[Path, ...]
    """By the mapping; none: found in the folder."""
    filename: str
    """What they call the column `filename`."""

    @cached_property
    def rows(self) -> list[Row]:
        """Of all files; what is wrong with them the import says."""
        paths = self.named or find_metadata(self.folder).values()
        return [row for path in paths for row in read_table(path, {}, (), Faults())]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for row in self.rows for name in row.values))


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
