"""Checking a bundle: nothing missing, added, changed, executable on loading, or outside the folder."""

import json
import os
import zipfile
from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from rfe.config.load import load_config
from rfe.errors import RfeError, SubmissionError, gather
from rfe.submission.form import BUNDLE_VERSION, bundle_task
from rfe.submission.layout import MANIFEST, part_name
from rfe.submission.submission import JSON_NAME, VIDEO_EXTENSION
from rfe.submission.validate import verify_submission
from rfe.submission.writers import WRITERS, writer_of
from rfe.task import Task
from rfe.workspace import member_problem

BUNDLE_FORMAT = "rfe-bundle"
READ_VERSIONS = (3, BUNDLE_VERSION)
REQUIRED = ("MODEL_CARD.md", "config.yaml", "decoder.json", "ensemble.yaml")
SUFFIXES = (".csv", ".json", ".md", ".safetensors", ".yaml", ".zip")
"""What a bundle may hold: nothing that runs code when it is loaded."""
KINDS = {"F32", "F64"}
"""Types of numbers that weights and preprocessing are stored in."""
MAX_MANIFEST_BYTES = 16 * 2**20


def verify_bundle(
    folder: Path, target_filenames: Iterable[str] | None = None, name: str | None = None
) -> dict[str, Any]:
    """Check a bundle's files against its manifest, and each file against its form.

    Args:
        folder: the bundle.
        target_filenames: the data's target clips, to check that each has an answer; without them the manifest's count
            is held.
        name: of the bundle, for messages; None: the folder.

    Returns:
        The manifest.

    Raises:
        SubmissionError: with every fault found.
    """
    manifest = read_manifest(folder)
    files: dict[str, dict[str, Any]] = manifest["files"]
    problems = [problem for file, entry in files.items() if (problem := _file_problem(folder, file, entry))]
    sound = [file for file in files if not any(problem.startswith(f"{file}: ") for problem in problems)]
    problems += [f"{file}: missing; every bundle has one" for file in REQUIRED if file not in files]
    problems += [f"{file}: not in {MANIFEST}; remove it" for file in _found(folder) if file not in files]
    problems += _member_problems(manifest, list(files))
    for file in sound:
        problems += _form_problems(folder, file)
    try:
        task = bundle_task(manifest, MANIFEST)
    except SubmissionError as problem:
        problems.append(str(problem))
    else:
        problems += _submission_problems(task, folder, manifest, sound, target_filenames)
    gather(problems, SubmissionError, name or str(folder))
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """`MANIFEST.json` of a bundle, its outer form checked.

    Raises:
        SubmissionError: no bundle, no JSON, another format or version.
    """
    path = folder / MANIFEST
    if not folder.is_dir() or not path.is_file():
        raise SubmissionError(f"{folder}: no bundle; a bundle is a folder with a {MANIFEST}, as rfe export writes it")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise SubmissionError(f"{path}: {path.stat().st_size / 2**20:.0f} MiB is too large for a manifest")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise SubmissionError(f"{path}: not JSON: {problem}; export the bundle again") from None
    if not isinstance(manifest, dict) or manifest.get("format") != BUNDLE_FORMAT:
        raise SubmissionError(f"{path}: not the manifest of a bundle (its 'format' must be {BUNDLE_FORMAT!r})")
    if manifest.get("format_version") not in READ_VERSIONS:
        raise SubmissionError(
            f"{path}: format_version {manifest.get('format_version')!r}, but this rfe reads versions "
            f"{' and '.join(map(str, READ_VERSIONS))}; use the rfe that wrote it or export again"
        )
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
        raise SubmissionError(f"{path}: 'files' must map each file's name to its sha256 and bytes")
    return manifest


def _found(folder: Path) -> list[str]:
    """Names of everything in the folder but the manifest and plain folders; links are named, not followed."""
    names = []
    for where, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        names += [(Path(where) / name).relative_to(folder).as_posix() for name in files + links]
    return sorted(name for name in names if name != MANIFEST)


def _file_problem(folder: Path, name: str, entry: dict[str, Any]) -> str | None:
    """What is wrong with one listed file; None when it is what the manifest says."""
    if problem := member_problem(name):
        return f"{name}: {problem}"
    path = folder / name
    if any(part.is_symlink() for part in (path, *path.parents) if folder in part.parents):
        return f"{name}: is a link or lies behind one; a bundle holds plain files"
    if not path.is_file():
        return f"{name}: named in {MANIFEST} but not there; copy the whole folder or export again"
    if path.suffix not in SUFFIXES:
        return f"{name}: a bundle holds {', '.join(SUFFIXES)} files only"
    if path.stat().st_size != entry.get("bytes"):
        return f"{name}: {path.stat().st_size} bytes, but {MANIFEST} says {entry.get('bytes')}; export again"
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if digest != entry.get("sha256"):
        return f"{name}: its content was changed (sha256 {digest[:12]}..., not {str(entry.get('sha256'))[:12]}...)"
    return None


def _member_problems(manifest: dict[str, Any], names: list[str]) -> list[str]:
    """Models and configurations that the manifest counts but does not list."""
    members = manifest.get("members")
    if not isinstance(members, list) or not members:
        return [f"{MANIFEST}: 'members' must list the configurations"]
    problems = []
    for member in members:
        folder, folds = (member.get("folder"), member.get("folds")) if isinstance(member, dict) else (None, None)
        if not isinstance(folder, str) or not isinstance(folds, list):
            problems.append(f"{MANIFEST}: each of 'members' must name its 'folder' and its 'folds'")
            continue
        if f"{folder}/config.yaml" not in names:
            problems.append(f"{folder}/config.yaml: missing; the manifest counts {len(members)} members")
        problems += [
            f"{name}: missing; the manifest counts {len(folds)} files of weights"
            for name in (f"{folder}/weights/{part_name(fold)}.safetensors" for fold in folds)
            if name not in names
        ]
    return problems


def _form_problems(folder: Path, name: str) -> list[str]:
    """A file that is what it was when the bundle was sealed, but should never have been."""
    path = folder / name
    try:
        if path.suffix == ".safetensors":
            return _tensor_problems(path, name)
        if Path(name).name == "config.yaml":
            load_config(path, [])
        elif path.suffix == ".json" and name != JSON_NAME:
            json.loads(path.read_text(encoding="utf-8"))
    except RfeError as problem:
        return [str(problem).replace(str(path), name)]
    except (ValueError, RecursionError) as problem:
        return [f"{name}: not JSON: {problem}"]
    return []


def _tensor_problems(path: Path, name: str) -> list[str]:
    try:
        with safe_open(path, framework="numpy") as tensors:
            kinds = {key: tensors.get_slice(key).get_dtype() for key in tensors.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, OSError) as problem:
        # Only what safetensors cannot read is asked what it is: a header's length may begin like a pickle.
        with path.open("rb") as file:
            start = file.read(1)
        if start == b"\x80" or zipfile.is_zipfile(path):  # pickle protocols 2 and up; torch.save and npz are zips
            kind = "a pickle or an archive in place of safetensors; loading it could run code, so it is refused"
            return [f"{name}: {kind}"]
        return [f"{name}: not a safetensors file: {problem}"]
    if strange := sorted({str(kind) for kind in kinds.values()} - KINDS):
        return [f"{name}: holds tensors of {', '.join(strange)}; a bundle's are of {', '.join(sorted(KINDS))}"]
    return [] if kinds else [f"{name}: holds no tensor"]


def _submission_problems(
    task: Task, folder: Path, manifest: dict[str, Any], sound: list[str], target_filenames: Iterable[str] | None
) -> list[str]:
    """Faults of the answer, of its files, and of what the manifest says of it."""
    claimed, writer = manifest.get("submission"), writer_of(task)
    present = [name for name in writer.names if name in manifest["files"]]
    strange = sorted({name for form in WRITERS.values() for name in form.names if name not in writer.names})
    wrong = [f"{name}: is no submission of task {task.name!r}" for name in strange if name in manifest["files"]]
    if wrong:
        return wrong
    if not isinstance(claimed, dict):
        return [f"{name}: the manifest says there is no submission" for name in present]
    problems = [
        f"{name}: missing; the manifest says there is a submission" for name in writer.names if name not in present
    ]
    extension = str(claimed.get("extension", VIDEO_EXTENSION))
    filenames = None if target_filenames is None else list(target_filenames)
    answers = []
    for name in (name for name in present if name in sound):
        try:
            n_clips = verify_submission(task, folder / name, filenames, extension)
        except SubmissionError as problem:
            problems.append(str(problem).replace(str(folder / name), name))
            continue
        answers.append(writer.contents(folder / name))
        if n_clips != claimed.get("clips"):
            problems.append(f"{name}: answers {n_clips} clips, but the manifest says {claimed.get('clips')}")
    if len(answers) == 2 and answers[0] != answers[1]:
        problems.append(f"{' and '.join(writer.names)} give different answers; export again")
    return problems
