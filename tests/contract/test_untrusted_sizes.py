"""A file of some megabytes that claims a hundred gigabytes is refused before anything of that size is allocated."""

import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from rfe import api
from rfe.config.load import load_config
from rfe.data.arrays import read_arrays
from rfe.data.dataset import load_dataset
from rfe.data.features import inspect_features
from rfe.data.series import read_series
from rfe.errors import RfeError
from rfe.resources import machine_memory
from rfe.submission.archive import open_bundle
from rfe.submission.member import read_tensors
from rfe.submission.scoring import read_probabilities
from rfe.task import BLEMORE
from tests.unit.data.folders import make_folder
from tests.unit.submission.bundles import configure, export_trained
from tests.unit.submission.test_corruption import reseal

CLAIM = 100 * 2**30
HELD = 10 * 2**20
MOST = 64 * 2**20
"""What a refusal may allocate: less than a thousandth of the claim."""


def lying_header(shape: tuple[int, ...]) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def write_npz(path: Path, compression: int = zipfile.ZIP_STORED, names: tuple[str, str] = ("X", "filenames")) -> None:
    text = io.BytesIO()
    np.save(text, np.array(["a", "b"]))
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{names[0]}.npy", lying_header((CLAIM // 8, 2)) + bytes(HELD))
        archive.writestr(f"{names[1]}.npy", text.getvalue())


def write_zip_bomb(path: Path) -> None:
    """A hundred megabytes and more in a hundred kilobytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(8):
            archive.writestr(f"{number}.json" if number else "MANIFEST.json", bytes(16 * 2**20))


def write_lying_zip(path: Path) -> None:
    """Its table says that a member unpacks to 4 GiB."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("submission.json", bytes(1000))
    raw = bytearray(path.read_bytes())
    table = raw.rindex(b"PK\x01\x02")
    raw[table + 24 : table + 28] = b"\xfe\xff\xff\xff"
    path.write_bytes(raw)


def write_tensors(path: Path, header: bytes, length: int | None = None) -> None:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + bytes(HELD))


def alias_bomb() -> str:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)]
    return "\n".join(lines)


def open_and_leave(path: Path) -> None:
    with open_bundle(path):
        pass


TENSOR = json.dumps({"w": {"dtype": "F32", "shape": [CLAIM // 4], "data_offsets": [0, CLAIM]}})
CASES: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], object], str]] = {
    "features": ("a.npz", write_npz, inspect_features, "more than the file can hold"),
    "packed features": (
        "a.npz", lambda path: write_npz(path, zipfile.ZIP_DEFLATED), inspect_features, "more than the file can hold",
    ),
    "outputs": ("a.npz", write_npz, read_arrays, "more than the file can hold"),
    "probabilities": (
        "a.npz", lambda path: write_npz(path, names=("probabilities", "filenames")),
        partial(read_probabilities, BLEMORE), "more than the file can hold",
    ),
    "series": (
        "a.npy", lambda path: path.write_bytes(lying_header((CLAIM // 8, 2)) + bytes(HELD)), read_series, "truncated",
    ),
    "bundle": ("a.zip", write_zip_bomb, open_and_leave, "claim to unpack to"),
    "submission": ("a.zip", write_lying_zip, api.verify, "claims 4096 MiB unpacked|damaged"),
    "weights": ("a.safetensors", lambda path: write_tensors(path, TENSOR.encode()), read_tensors, "cannot be read"),
    "weights' header": (
        "a.safetensors", lambda path: write_tensors(path, b"{}", CLAIM), read_tensors, "cannot be read",
    ),
    "aliases": ("a.yaml", lambda path: path.write_text(alias_bomb()), load_config, "1.2.e.11 values once its aliases"),
    "settings": ("a.yaml", lambda path: path.write_bytes(b"a: [" + b"1, " * 3_000_000), load_config, "too large"),
    "answers": (
        "a.json", lambda path: path.write_bytes(b"[" * HELD), api.verify, "nested too deeply|not JSON",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_large_claim_is_refused_before_it_is_believed(name: str, tmp_path: Path) -> None:
    file, write, read, said = CASES[name]
    path = tmp_path / file
    write(path)
    assert path.stat().st_size < 2 * HELD
    tracemalloc.start()
    try:
        with pytest.raises(RfeError, match=said):
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST


def test_a_bundles_configuration_asks_for_no_more_than_the_machine_has(tmp_path: Path) -> None:
    dataset = load_dataset(make_folder(tmp_path / "data"))
    bundle, _ = export_trained(tmp_path, dataset, configure(), output=tmp_path / "bundle")
    path = bundle / "members/fusion-v1-0/config.yaml"
    path.write_text(path.read_text().replace("latent_dim: 8", f"latent_dim: {machine_memory() // 40}"))
    reseal(bundle)
    with pytest.raises(RfeError, match=r"model.latent_dim .* more than this machine's memory"):
        api.predict(bundle, dataset.path)
