"""Data folders from tables, and tables of data folders: pandas in and out."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rfe.data.columns import is_known, is_ours, list_columns
from rfe.data.dataset import Dataset, list_encoders, load_dataset, read_features
from rfe.data.features import encoder_name_problem, feature_file, to_float32, too_large_sentence
from rfe.data.task import TASK_FILE, write_task
from rfe.errors import DataError, gather
from rfe.task import BLEMORE, Task
from rfe.writing import replace_folder

FrameLike: TypeAlias = "pd.DataFrame | NDArray[np.floating[Any]]"


def write_frames(metadata: pd.DataFrame, features: Mapping[str, FrameLike], output: Path, task: Task = BLEMORE) -> Path:
    """Write a data folder: `metadata.csv`, `task.yaml` of a task other than BlEmoRE's, and one feature file for each
    encoder. Written whole or not at all.

    Args:
        metadata: one row for each clip, with the columns of `metadata.csv`; `filename` may be the index. Without a
            column `split` all clips are training clips.
        features: encoder -> its features, a table whose index is the clips' `filename` (clips may be missing), or an
            array [clip, dim] in the order of `metadata`.
        output: the folder. One that holds the same data already is left as it is.
        task: which labels the clips have.

    Returns:
        `output`.

    Raises:
        DataError: the tables do not fit together, they would be no sound data folder, or `output` holds something else.
    """
    metadata = _with_column(metadata)
    if not isinstance(features, Mapping) or not features:
        raise DataError("features: name at least one encoder, as {'face': table}")
    gather([one for name in features if (one := encoder_name_problem(name))], DataError, "features")
    output = Path(output).absolute()
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as scratch:
        beside = Path(scratch) / output.name
        beside.mkdir()
        metadata.to_csv(beside / "metadata.csv", index=False)
        if task != BLEMORE:
            write_task(beside / TASK_FILE, task)
        for encoder, table in features.items():
            filenames, values = _aligned(encoder, table, metadata["filename"].astype(str).tolist())
            np.savez(beside / feature_file(encoder), X=values, filenames=np.array(filenames, np.str_))
        try:
            made = load_dataset(beside, need_source=False)
        except DataError as error:
            raise DataError(str(error).replace(str(beside), str(output))) from None
        if output.is_dir() and any(output.iterdir()):
            if list_encoders(output) and load_dataset(output, need_source=False).fingerprint == made.fingerprint:
                return output
            raise DataError(f"{output} holds something else; name another folder, or remove that one")
        replace_folder(beside, output)
    return output


def clip_table(dataset: Dataset) -> pd.DataFrame:
    """Every clip: split, actor, fold, and of training clips the classes with their saliences in percent.

    Returns:
        Index `filename`, in the data's order; columns `split`, `actor`, `fold`, `emotions`, and one for each class.
    """
    task = dataset.clips.task
    clips, n = dataset.clips, dataset.clips.n_source
    states = clips.state[:n].tolist()
    table = pd.DataFrame(index=pd.Index(clips.filename.astype(object), name="filename"))
    table["split"] = ["train"] * n + ["test"] * clips.n_target
    table["actor"] = [clips.actor_names[one] if one >= 0 else None for one in clips.actor.tolist()]
    table["fold"] = pd.array([*clips.fold[:n].tolist(), *[None] * clips.n_target], dtype="Int64")
    table["emotions"] = [*(task.set_names[task.state_set[state]] for state in states), *[None] * clips.n_target]
    percents = [task.state_percents(state) for state in states]
    for code in task.classes:
        shares = [one.get(code, 0) for one in percents]
        table[code if code not in table else f"{code}_salience"] = pd.array(
            [*shares, *[None] * clips.n_target], dtype="Int64"
        )
    return table


def encoder_table(dataset: Dataset) -> pd.DataFrame:
    """Every encoder: its features' dimension, and the share of training and of test clips that have any."""
    clips, encoders = dataset.clips, dataset.encoders.values()
    table = pd.DataFrame(index=pd.Index([one.name for one in encoders], name="encoder"))
    table["dim"] = [one.dim for one in encoders]
    for split, positions in (("train", clips.source), ("test", clips.target)):
        if len(positions):
            table[f"coverage_{split}"] = [float(one.available[positions].mean()) for one in encoders]
    return table


def feature_table(dataset: Dataset, encoder: str) -> pd.DataFrame:
    """One encoder's features, NaN where it has none of a clip.

    Returns:
        [clip, dim], index `filename`.

    Raises:
        KeyError: the data set has no such encoder.
    """
    file = dataset.encoders[encoder]
    values = read_features(file, dataset.clips)
    values[~file.available] = np.nan
    return pd.DataFrame(values, index=pd.Index(dataset.clips.filename.astype(object), name="filename"))


def _with_column(metadata: pd.DataFrame) -> pd.DataFrame:
    """The metadata with columns `filename` and `split`."""
    twice = [str(name) for name in metadata.columns[metadata.columns.duplicated()]]
    if twice:
        raise DataError(f"metadata: has more than one column {', '.join(dict.fromkeys(twice))}; keep one of each")
    metadata = _without_levels(metadata, "metadata")
    if "filename" not in metadata.columns:
        if metadata.index.name not in (None, "filename") or isinstance(metadata.index, pd.RangeIndex):
            raise DataError(f"metadata: has no column filename; it has {', '.join(map(str, metadata.columns))}")
        metadata = metadata.rename_axis("filename").reset_index()
    return metadata if "split" in metadata.columns else metadata.assign(split="train")


def _without_levels(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """A table whose index and header have one level each; of an index with a level `filename` the others are dropped,
    but those of metadata become columns.

    Raises:
        DataError: it has several, and which is meant cannot be told; or one of our columns twice, with other values.
    """
    if table.columns.nlevels > 1:
        raise DataError(
            f"{what}: its columns have {table.columns.nlevels} levels; name each by one, as "
            "table.columns = ['_'.join(map(str, name)) for name in table.columns]"
        )
    refuse_ambiguous_names(table, what)
    others = [str(name) for name in table.index.names if name is not None and str(name) not in table.columns]
    if "filename" in table.columns:
        return _with_levels(table, [name for name in others if is_ours(name)] if what == "metadata" else [])
    if table.index.nlevels == 1:
        return table
    if "filename" not in others:
        levels = [str(name) for name in table.index.names]
        raise DataError(
            f"{what}: its index has {len(levels)} levels ({', '.join(levels)}) and none is filename; name the one that "
            f"names clips, as table.rename_axis(index={{{levels[0]!r}: 'filename'}})"
        )
    return _with_levels(table, others if what == "metadata" else ["filename"])


def _with_levels(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Levels of the index as the first columns; the others are dropped."""
    plain = table.reset_index(drop=True)
    levels = [str(name) for name in table.index.names]
    for name in reversed(names):
        plain.insert(0, name, table.index.get_level_values(levels.index(name)), allow_duplicates=True)
    return plain


def refuse_ambiguous_names(table: pd.DataFrame, what: str) -> None:
    """Refuse a table that has one of our columns more than once: as columns, or with other values in its index.

    Args:
        table: its header has one level.
        what: names it in the message.

    Raises:
        DataError: with both values of the first row that differs, and how to keep either.
    """
    names = [str(name) for name in table.columns]
    for name in dict.fromkeys(one for one in names if is_ours(one)):
        if names.count(name) > 1:
            raise DataError(f"{what}: has more than one column {name}; keep one of each")
    levels = [str(name) for name in table.index.names]
    for level, name in enumerate(levels):
        if not is_ours(name):
            continue
        if name in names:
            others, where = table.iloc[:, names.index(name)].tolist(), "its column"
        elif levels.index(name) < level:
            others, where = table.index.get_level_values(levels.index(name)).tolist(), "another level of it"
        else:
            continue
        for row, (one, other) in enumerate(zip(table.index.get_level_values(level).tolist(), others, strict=True)):
            if not _is_same(one, other):
                drop = f"droplevel({level})" if len(levels) > 1 else "reset_index(drop=True)"
                raise DataError(
                    f"{what}: {name} in its index and in {where} differ (row {row}: {one!r} and {other!r}); keep one "
                    f"of them: table.{drop} drops that of the index"
                )


def _is_same(one: Any, other: Any) -> bool:
    """Whether two cells would be the same in a file."""
    if pd.isna(one) or pd.isna(other):
        return bool(pd.isna(one) and pd.isna(other))
    return bool(one == other) or str(one) == str(other)


def _aligned(encoder: str, table: FrameLike, filenames: list[str]) -> tuple[list[str], NDArray[np.float32]]:
    """(filenames, [row, dim]) of an encoder's features."""
    named = isinstance(table, pd.DataFrame)
    if isinstance(table, pd.DataFrame):
        table = _without_levels(table, f"features.{encoder}")
        table = table.set_index("filename") if "filename" in table.columns else table
        _refuse_columns(encoder, table)
        filenames = table.index.astype(str).tolist()
    try:
        given = np.asarray(table)
        if given.dtype.kind in "cmM":
            raise TypeError(f"they are of type {given.dtype}")
        given = given if given.dtype.kind == "f" else given.astype(np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"features.{encoder}: are not all numbers ({problem})") from None
    if not named and (given.ndim != 2 or len(given) != len(filenames)):
        raise DataError(
            f"features.{encoder}: an array must be [clip, dim] in the order of the metadata's {len(filenames)} rows, "
            f"but its shape is {given.shape}; a table with filename as its index may have other rows"
        )
    values, too_large = to_float32(given)
    if too_large.any():
        raise DataError(f"features.{encoder}: {too_large_sentence(int((too_large > 0).sum()))}")
    return filenames, values


def _refuse_columns(encoder: str, table: pd.DataFrame) -> None:
    """Refuse columns that carry labels, actors, folds or the clip's length into the features.

    Raises:
        DataError: with how to leave them out.
    """
    names = [str(name) for name in table.columns]
    ours = [name for name in names if is_ours(name)]
    if found := ours or [name for name in names if is_known(name)]:
        what = (
            "columns of the metadata, label leaks as features"
            if ours
            else "known to number, time, name or label a clip"
        )
        raise DataError(
            f"features.{encoder}: {list_columns(found, 6)}: {what}; leave them out with "
            f"table.drop(columns={found[:6]}), or rename what is a feature"
        )
    text = [
        str(name)
        for name, kind in table.dtypes.items()
        if not pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_object_dtype(kind)
    ]
    if text:
        raise DataError(f"features.{encoder}: {list_columns(text, 6)} holds no numbers; leave it out")
