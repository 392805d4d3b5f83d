"""Feature files: one `.npz` per encoder with `X` [row, dim] and `filenames` [row].

A file is judged by its headers before anything is allocated; see `rfe.data.arrays`.
"""

import hashlib
import re
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.arrays import DAMAGED_ZIP, Arrays, open_arrays
from rfe.data.faults import list_names
from rfe.data.metadata import Clips, clip_key
from rfe.data.standardize import is_constant
from rfe.errors import DataError

_SUFFIXES = ("_static_features.npz", ".npz")


def feature_file(encoder: str) -> str:
    """Name of an encoder's file, in the challenge's naming.

    Examples:
        >>> feature_file("wavlm")
        'wavlm_static_features.npz'
    """
    return f"{encoder}{_SUFFIXES[0]}"


_BLOCK = 256
"""Columns that are described at a time, so that float64 copies stay small."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class EncoderFile:
    """One encoder of a data folder."""

    name: str
    path: Path
    dim: int
    available: NDArray[np.bool_]
    """[clip] whether the encoder has features of the clip."""
    sha256: str
    """Of the content (values as float32 and clip names), so that it survives another way of compressing."""


@dataclass(frozen=True)
class Inspection:
    """What a feature file holds, apart from any metadata."""

    filenames: tuple[str, ...]
    """[row]"""
    dim: int
    sha256: str
    non_finite: NDArray[np.int64]
    """[row] how many values are NaN or infinite."""
    too_large: NDArray[np.int64]
    """[row] how many values are finite, but beyond float32."""
    constant_columns: int
    """Columns that are constant over all rows, as standardising judges it: they become 0."""


def encoder_name(path: Path) -> str:
    """The file's name without `_static_features.npz` or `.npz`.

    Examples:
        >>> encoder_name(Path("wavlm_static_features.npz")), encoder_name(Path("clip.npz"))
        ('wavlm', 'clip')
    """
    for suffix in _SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.name


def encoder_name_problem(name: object) -> str | None:
    """Why an encoder cannot have this name; None if it can.

    Examples:
        >>> encoder_name_problem("wavlm"), encoder_name_problem("../wavlm") is None
        (None, False)
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return None
    return (
        f"{name!r} cannot name an encoder and its file; use at most 100 letters, digits, dots, dashes and underscores, "
        "beginning with a letter or digit"
    )


def is_feature_file(path: Path) -> bool:
    """Whether the archive holds one of the two arrays at all; other archives are strays (damaged ones are not)."""
    try:
        with zipfile.ZipFile(path) as archive:
            return bool({"X.npy", "filenames.npy"} & set(archive.namelist()))
    except DAMAGED_ZIP:
        return True


def inspect_features(path: Path) -> Inspection:
    """Read a feature file once and describe it.

    Raises:
        DataError: one sentence: damaged or truncated, an array missing or of objects, a claim larger than the file
            or this machine's memory, a wrong dimension, no rows, a clip that stands there twice.
    """
    filenames, values, too_large = _load(path)
    digest = hashlib.sha256("\n".join(filenames).encode())
    digest.update(repr(values.shape).encode())
    digest.update(values.data)
    return Inspection(
        filenames=filenames,
        dim=values.shape[1],
        sha256=digest.hexdigest(),
        non_finite=np.count_nonzero(~np.isfinite(values), axis=1) - too_large,
        too_large=too_large,
        constant_columns=_count_constant(values),
    )


def _count_constant(values: NDArray[np.float32]) -> int:
    count = 0
    for start in range(0, values.shape[1], _BLOCK):
        block = values[:, start : start + _BLOCK].astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):  # values that are not finite are reported elsewhere
            count += int(is_constant(block.mean(axis=0), block.var(axis=0)).sum())
    return count


def match_rows(filenames: tuple[str, ...], clips: Clips) -> NDArray[np.int64]:
    """[clip] the row of each clip in a feature file with these `filenames`; -1 where it has none."""
    row = {clip_key(name): index for index, name in enumerate(filenames)}
    return np.array([row.get(clip_key(name), -1) for name in clips.filename.tolist()], np.int64)


def read_features(encoder: EncoderFile, clips: Clips) -> NDArray[np.float32]:
    """An encoder's features in the clips' order.

    Returns:
        [clip, dim], zeros where the encoder has no features of the clip (see `encoder.available`).

    Raises:
        DataError: as `inspect_features`, or if a clip's values are not finite, or not as float32.
    """
    filenames, values, too_large = _load(encoder.path)
    rows = match_rows(filenames, clips)
    aligned = np.zeros((len(clips), values.shape[1]), np.float32)
    aligned[rows >= 0] = values[rows[rows >= 0]]
    broken = clips.filename[~np.isfinite(aligned).all(axis=1)].tolist()
    if broken:
        sentence = too_large_sentence if too_large[rows[rows >= 0]].any() else non_finite_sentence
        raise DataError(f"{encoder.path}: {sentence(len(broken))}: {list_names(broken)}")
    return aligned


def non_finite_sentence(n_clips: int) -> str:
    return (
        f"X holds NaN or infinity for {n_clips} clip{'s' if n_clips != 1 else ''}; repair the values or leave these "
        "clips' rows out (a clip without features is masked)"
    )


def too_large_sentence(n_clips: int) -> str:
    return (
        f"X holds values beyond {np.finfo(np.float32).max:.1e}, which do not fit float32, for {n_clips} "
        f"clip{'s' if n_clips != 1 else ''}; scale the values, or leave these clips' rows out (a clip without features "
        "is masked)"
    )


def to_float32(values: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(values, [row] how many of them were finite and are infinite now, as they are too large) of real numbers.

    Examples:
        >>> values, overflowed = to_float32(np.array([[1.0, 1e300]]))
        >>> values.tolist(), overflowed.tolist()
        ([[1.0, inf]], [1])
    """
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(values, np.float32)
    if values.dtype == np.float32:
        return converted, np.zeros(len(values), np.int64)
    return converted, np.count_nonzero(np.isinf(converted) & np.isfinite(values), axis=1)


def _load(path: Path) -> tuple[tuple[str, ...], NDArray[np.float32], NDArray[np.int64]]:
    """`filenames`, `X` as float32 and [row] how many values that made infinite; every check without metadata passed."""
    with open_arrays(path) as arrays:
        _check_shapes(arrays, path)
        filenames = _decode(arrays.read("filenames"))
        values, too_large = to_float32(arrays.read("X"))
    repeated = [key for key, count in Counter(map(clip_key, filenames)).items() if count > 1]
    if repeated:
        raise DataError(f"{path}, filenames: more than one row of the same clip: {list_names(repeated)}; keep one each")
    return filenames, values, too_large


def _check_shapes(arrays: Arrays, path: Path) -> None:
    for name in ("X", "filenames"):
        if name not in arrays.names:
            found = ", ".join(arrays.names) or "nothing"
            raise DataError(f"{path} has no array {name!r} (it has: {found}); a feature file has X and filenames")
    x, names = arrays.header("X"), arrays.header("filenames")
    if x.dtype.kind not in "fiu":
        raise DataError(f"{path}, X: values of type {x.dtype}; features are real numbers")
    if names.dtype.kind not in "US":
        raise DataError(f"{path}, filenames: values of type {names.dtype}; clip names are text")
    if len(x.shape) != 2:
        raise DataError(f"{path}, X: {len(x.shape)} dimensions {list(x.shape)}; features are [clip, feature]")
    if 0 in x.shape:
        raise DataError(f"{path}, X: {list(x.shape)} is empty; compute the encoder again or remove the file")
    if names.shape != x.shape[:1]:
        raise DataError(f"{path}: X has {x.shape[0]} rows but filenames is {list(names.shape)}; one name for each row")


def _decode(names: NDArray[np.generic]) -> tuple[str, ...]:
    decoded = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names.tolist())
    "".join(decoded).encode()  # halves of characters are no names
    return decoded
