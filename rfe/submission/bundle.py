"""A bundle: one folder that holds a model and its answer, with a manifest of every file's hash.

```
BUNDLE/
  MANIFEST.json            what it is, where it comes from, sha256 of every other file
  MODEL_CARD.md            the same for people
  ensemble.yaml            the members and their weights; one member is the plain case
  config.yaml              resolved configuration of the heaviest member; `rfe train` accepts it
  decoder.json             how outputs become answers
  members/STUDY-N/config.yaml
  members/STUDY-N/weights/fold0.safetensors ...      all.safetensors where models were trained on all clips
  members/STUDY-N/preprocessing/fold0/ENCODER.safetensors ...
  submission.json, submission.zip, predictions.csv    only where the data has target clips; `submission.csv` in the
                                                      place of the first two where the task says so
```

A bundle is written beside its place, verified there and renamed, so what has the name is whole. Its archive,
`NAME.zip`, holds the same files.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Any

from rfe.errors import SubmissionError
from rfe.submission.archive import is_archive, open_bundle, pack
from rfe.submission.form import BUNDLE_VERSION
from rfe.submission.layout import MANIFEST
from rfe.submission.manifest import title
from rfe.submission.verification import BUNDLE_FORMAT, read_manifest, verify_bundle
from rfe.writing import check_folder_place, replace_folder, write_beside

IDENTITY = ("study", "trial", "ensemble")
OTHER_ARCHIVES = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
"""Endings of files that a bundle cannot be."""


@contextmanager
def write_bundle(
    output: Path, manifest: Mapping[str, Any], target_filenames: Sequence[str] | None = None
) -> Iterator[Path]:
    """A folder to fill; on leaving it is sealed with the manifest, verified, and renamed to `output`; where that ends
    with `.zip`, packed and verified once more.

    A bundle of the same trial or ensemble that stands at `output` is replaced. An exception leaves nothing behind.

    Args:
        output: the bundle's place.
        manifest: what `MANIFEST.json` says beside format and file hashes, as it is on leaving; needs `study` and
            `trial`, or `ensemble`.
        target_filenames: the clips that the submission must answer; None without a submission.

    Raises:
        SubmissionError: `output` holds something else, or what was written does not pass `verify_bundle`.
    """
    check_output(output, manifest)
    output.parent.mkdir(parents=True, exist_ok=True)
    beside = output.with_name(f".{output.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)  # of a run that was killed
    beside.mkdir()
    try:
        yield beside
        seal(beside, manifest)
        verify_bundle(beside, target_filenames)
        if output.suffix == ".zip":
            _pack_verified(beside, output, target_filenames)
        else:
            replace_folder(beside, output)
    except OSError as error:
        error.filename = error.filename or str(output)  # a full disk is noticed by a file that is open and nameless
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_output(output: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse a place that holds anything but a bundle of the same trial or ensemble, or nothing.

    Raises:
        SubmissionError: with what stands there.
    """
    if output.suffix.lower() in OTHER_ARCHIVES:
        raise SubmissionError(f"{output}: a bundle is a folder or an archive NAME.zip; name it so with -o/--output")
    check_folder_place(output if not output.exists() else output.parent)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / MANIFEST).is_file() and not is_archive(output):
        raise SubmissionError(f"{output}: exists and is no bundle; choose another place with -o/--output")
    if output.is_dir() == (output.suffix == ".zip"):
        raise SubmissionError(
            f"{output}: is a {'folder' if output.is_dir() else 'file'}, which a bundle of that name is not; remove "
            "it or choose another place with -o/--output"
        )
    with open_bundle(output) as folder:
        old = read_manifest(folder)
    if [old.get(key) for key in IDENTITY] != [manifest.get(key) for key in IDENTITY]:
        raise SubmissionError(
            f"{output}: holds the bundle of {title(old)}; remove it or choose another place with -o/--output"
        )


def _pack_verified(folder: Path, output: Path, target_filenames: Sequence[str] | None) -> None:
    with write_beside(output) as packed:
        pack(folder, packed)
        with open_bundle(packed) as unpacked:
            verify_bundle(unpacked, target_filenames)


def seal(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write `MANIFEST.json` with the hash of every file in `folder`; everyone may read them."""
    files = {
        path.relative_to(folder).as_posix(): {"sha256": file_sha256(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }
    value = {"format": BUNDLE_FORMAT, "format_version": BUNDLE_VERSION, **manifest, "files": files}
    (folder / MANIFEST).write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for name in (*files, MANIFEST):
        (folder / name).chmod(0o644)


def file_sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
