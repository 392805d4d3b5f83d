"""Arrays of untrusted `.npz` files.

Each is judged by its header before anything is allocated: arrays of objects (which only pickle could load), a shape
that the bytes on disk cannot hold and a shape this machine has no memory for are refused.
"""

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from rfe.errors import DataError
from rfe.resources import machine_memory

_DEFLATE_LIMIT = 1032  # deflate cannot shrink further, so a larger claim is not in the file
UNREADABLE_ARRAY = (OSError, ValueError, TypeError, EOFError, OverflowError, SyntaxError, tokenize.TokenError)
"""What numpy raises for a file that is not, or no longer, an array it can read without pickle."""
DAMAGED_ZIP = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(NotImplementedError, RuntimeError, EOFError, OSError, ValueError, IndexError),
)
"""What Python raises for a file that is not, or no longer, a zip it can unpack."""


class ArrayHeader(NamedTuple):
    """The header of an array: its shape and type."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


class Arrays:
    """An open `.npz`.

    Args:
        archive: the file.
        path: named in messages.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self._path = archive, path
        self.names = tuple(item.removesuffix(".npy") for item in archive.namelist() if item.endswith(".npy"))

    def header(self, name: str) -> ArrayHeader:
        """Shape and type of an array, if the bytes behind it can hold them and this machine too.

        Raises:
            DataError: it is not there, of objects, or claims too much.
        """
        path = self._path
        if name not in self.names:
            raise DataError(f"{path} has no array {name!r} (it has: {', '.join(self.names) or 'none'})")
        entry = self._archive.getinfo(f"{name}.npy")
        with self._archive.open(entry) as file:
            shape, dtype = _parse_header(file)
            header_size = file.tell()
        if dtype.hasobject:
            raise DataError(
                f"{path}, {name}: an array of Python objects, which only pickle could load (unsafe); save it as "
                "numbers, or text: np.asarray(names, dtype=str)"
            )
        claimed = prod(shape) * dtype.itemsize
        stored = min(entry.compress_size, path.stat().st_size)
        held = min(entry.file_size - header_size, stored * _DEFLATE_LIMIT)
        if claimed > held:
            raise DataError(
                f"{path}, {name}: its header claims {list(shape)} {dtype} ({claimed:,} bytes), more than the file can "
                "hold; it is truncated or damaged: copy or compute it again"
            )
        if claimed > machine_memory():
            raise DataError(
                f"{path}, {name}: {list(shape)} {dtype} needs {claimed / 2**30:,.0f} GiB of memory, more than this "
                "machine has; reduce or split it"
            )
        return ArrayHeader(shape, dtype)

    def read(self, name: str) -> NDArray[Any]:
        """Read an array with a valid header.

        Raises:
            DataError: as `header`.
        """
        self.header(name)
        with self._archive.open(f"{name}.npy") as file:
            return np.asarray(npy_format.read_array(file, allow_pickle=False))


@contextmanager
def open_arrays(path: Path) -> Iterator[Arrays]:
    """An `.npz` for reading.

    Raises:
        DataError: it is not there, is damaged, or what is read of it does not fit into memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield Arrays(archive, path)
    except FileNotFoundError:
        raise DataError(f"{path}: file not found; check the path") from None
    except MemoryError:
        raise DataError(f"{path}: does not fit into this machine's memory; reduce or split it") from None
    except (*UNREADABLE_ARRAY, *DAMAGED_ZIP) as error:
        raise DataError(f"{path}: truncated or damaged ({error}); copy or compute it again") from None


def read_arrays(path: Path, names: tuple[str, ...] = ()) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz`, all of them where none is named.

    Raises:
        DataError: as `open_arrays`, or one of `names` is not there.
    """
    with open_arrays(path) as arrays:
        return {name: arrays.read(name) for name in names or arrays.names}


def _parse_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = npy_format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"unknown array format {version}")
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = read(file)
    if any(size < 0 for size in shape):
        raise ValueError(f"negative shape {shape}")
    return shape, dtype
