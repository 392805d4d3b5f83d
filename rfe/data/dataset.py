"""A data folder as the rest of the package uses it: clips, encoders, a fingerprint and caveats."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.caveats import DESCRIPTION_FILE, NO_ACTORS, ONE_ENCODER, TRUTH_FILE, Description, describe
from rfe.data.faults import Faults, kind_of, list_names
from rfe.data.features import (
    EncoderFile,
    Inspection,
    encoder_name,
    inspect_features,
    is_feature_file,
    match_rows,
    non_finite_sentence,
    read_features,
    too_large_sentence,
)
from rfe.data.left_to_train import report_folds
from rfe.data.lookalikes import list_pairs, look_of
from rfe.data.metadata import METADATA_FILES, Clips, clip_key, collect_clips
from rfe.data.task import TASK_FILE, compared_labels
from rfe.errors import DataError
from rfe.suggestions import unknown
from rfe.task import BLEMORE, Task

__all__ = ["Dataset", "EncoderFile", "Survey", "fingerprint", "load_dataset", "read_features", "survey_folder"]

CORRUPTION_FILE = "corruption.json"
"""Which features are wrong on purpose; see `rfe.data.corruption`."""
_COMPANIONS = frozenset((*METADATA_FILES, DESCRIPTION_FILE, TASK_FILE, TRUTH_FILE, CORRUPTION_FILE))


@dataclass(frozen=True)
class Dataset:
    """A folder whose metadata and feature files passed all checks."""

    path: Path
    name: str
    clips: Clips
    encoders: dict[str, EncoderFile]
    """Sorted by name."""
    fingerprint: str
    """16 hex digits of a hash of clips, actors, folds, labels, their task and the encoders' content."""
    simulated: bool
    caveats: tuple[str, ...]
    """Sentences that every report on this data carries."""


@dataclass(frozen=True)
class Survey:
    """The readable content of a folder, with its faults."""

    path: Path
    clips: Clips | None
    files: dict[str, Path]
    """Of all encoders, also of those that cannot be read."""
    inspections: dict[str, Inspection]
    encoders: dict[str, EncoderFile]
    """Empty while the metadata cannot be read; all three sorted by name."""
    description: Description

    @property
    def caveats(self) -> tuple[str, ...]:
        """What every report on this data says; of its actors and the encoders that were read, too."""
        clips = self.clips
        labelled = clips is not None and bool((clips.state >= 0).any())
        return (
            *self.description.caveats,
            *((ONE_ENCODER,) if len(self.inspections) == 1 else ()),
            *((NO_ACTORS,) if clips is not None and labelled and not clips.source_has_actors else ()),
        )


def load_dataset(
    folder: Path,
    encoders: Sequence[str] | None = None,
    *,
    need_source: bool = True,
    need_labels: bool = True,
    unlabelled_as: Task = BLEMORE,
) -> Dataset:
    """Open a data folder.

    Args:
        folder: metadata, one `<encoder>_static_features.npz` or `<encoder>.npz` for each encoder, and perhaps
            `task.yaml`.
        encoders: names of those to use; default all. Others are not even opened.
        need_source: False also accepts a folder of target clips only (to predict, not to train).
        need_labels: False reads neither labels nor folds, and also a `metadata.csv` without `split` (to predict only).
        unlabelled_as: the task of a folder that has neither labels nor `task.yaml`.

    Raises:
        DataError: everything that would invalidate a result, in one message.
    """
    faults = Faults()
    survey = survey_folder(
        Path(folder),
        faults,
        encoders,
        need_source=need_source,
        need_labels=need_labels,
        unlabelled_as=unlabelled_as,
    )
    faults.refuse(str(folder))
    assert survey.clips is not None  # None comes with a problem
    return Dataset(
        path=survey.path.resolve(),
        name=survey.description.name,
        clips=survey.clips,
        encoders=survey.encoders,
        fingerprint=fingerprint(survey.clips, survey.encoders),
        simulated=survey.description.simulated,
        caveats=survey.caveats,
    )


def survey_folder(
    folder: Path,
    faults: Faults,
    encoders: Sequence[str] | None = None,
    *,
    need_source: bool = True,
    need_labels: bool = True,
    unlabelled_as: Task = BLEMORE,
) -> Survey:
    """Read what can be read of a folder and note every problem and warning; arguments as `load_dataset`.

    Raises:
        DataError: if `folder` is no folder or `encoders` names one it does not have.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the data folder that holds metadata.csv and *.npz files")
    clips = collect_clips(folder, faults, need_source=need_source, need_labels=need_labels, unlabelled_as=unlabelled_as)
    if clips is not None:
        _warn_of_shared_actors(clips, faults)
    files = _find_encoders(folder, faults)
    description = describe(folder, files, faults)
    inspections: dict[str, Inspection] = {}
    found: dict[str, EncoderFile] = {}
    for name in _select(files, encoders, folder):
        try:
            inspections[name] = inspect_features(files[name])
        except DataError as error:
            sentence, file = str(error).removeprefix(f"{folder}/"), files[name].name
            faults.problem(sentence, kind=kind_of(sentence.replace(file, "*")), where=file)
            continue
        if clips is not None:
            found[name] = _match_encoder(name, files[name], inspections[name], clips, faults)
    if clips is not None and found and len(found) == len(inspections):
        uncovered = ~np.any([encoder.available for encoder in found.values()], axis=0)
        if uncovered.any():
            faults.problem(
                "clips without features in any encoder cannot be trained on or predicted; compute their features or "
                "remove them from the metadata",
                *clips.filename[uncovered].tolist(),
            )
    if clips is not None and need_labels:
        report_folds(clips, found, faults)
    return Survey(folder, clips, files, inspections, found, description)


def list_encoders(folder: Path) -> tuple[str, ...]:
    """List the encoders that a data folder has files for, sorted; opens none of them."""
    return tuple(_find_encoders(folder, Faults())) if folder.is_dir() else ()


def _find_encoders(folder: Path, faults: Faults) -> dict[str, Path]:
    """Feature files by encoder name, sorted; strays are warned of."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _COMPANIONS or path.suffix.lower() in (".md", ".txt"):
            continue
        if path.suffix != ".npz" or not path.is_file() or not is_feature_file(path):
            what = "folder" if path.is_dir() else "file"
            faults.warn(f"{path.name} is a stray {what}: not read", kind=f"stray {what}", where=path.name)
        elif (name := encoder_name(path)) in files:
            faults.problem(f"{files[name].name} and {path.name} both name encoder {name!r}; keep one")
        else:
            files[name] = path
    if not files:
        faults.problem("no feature files: expected <encoder>_static_features.npz or <encoder>.npz")
    return dict(sorted(files.items()))


def _select(files: dict[str, Path], encoders: Sequence[str] | None, folder: Path) -> list[str]:
    if encoders is None:
        return list(files)
    for name in encoders:
        if name not in files:
            raise DataError(f"{folder}: {unknown('encoder', name, files)}")
    return sorted(set(encoders))


def _match_encoder(name: str, path: Path, inspection: Inspection, clips: Clips, faults: Faults) -> EncoderFile:
    rows = match_rows(inspection.filenames, clips)
    available = rows >= 0
    _note_coverage(path.name, inspection, clips, available, faults)
    for sentence, counts in ((non_finite_sentence, inspection.non_finite), (too_large_sentence, inspection.too_large)):
        broken = clips.filename[available & (counts[rows] > 0)].tolist()
        if broken:
            faults.problem(
                f"{path.name}, {sentence(len(broken))}: {list_names(broken)}",
                kind=sentence.__name__,
                where=f"{path.name} ({len(broken)} clip{'s' * (len(broken) > 1)})",
            )
    return EncoderFile(name, path.resolve(), inspection.dim, available, inspection.sha256)


def _note_coverage(
    file: str, inspection: Inspection, clips: Clips, available: NDArray[np.bool_], faults: Faults
) -> None:
    missing = clips.filename[~available].tolist()
    known = {clip_key(name) for name in clips.filename.tolist()}
    stray = [name for name in inspection.filenames if clip_key(name) not in known]
    alike = _lookalike_hint(missing, stray)
    if not available.any():
        faults.problem(
            f"{file}, filenames: none of its names is a clip of the metadata ({list_names(inspection.filenames)} "
            f"against {list_names(clips.filename.tolist())}); make the names agree or remove the file{alike}",
            kind="no clip of the metadata",
            where=file,
        )
        return
    if alike:
        faults.warn(f"{file}, filenames: some are no clip of the metadata{alike}", kind="lookalikes", where=file)
    if len(missing):
        faults.warn(f"{file} has no features of some clips: masked", *missing, kind="masked", where=file)
    if stray:
        faults.warn(
            f"{file} has rows of clips that the metadata does not know: ignored", *stray, kind="ignored", where=file
        )
    constant = inspection.constant_columns
    if constant == inspection.dim:
        faults.warn(
            f"{file}: every column is constant; the encoder carries no information",
            kind="all constant",
            where=file,
        )
    elif constant:
        faults.warn(
            f"{file}: {constant} of {inspection.dim} columns are constant, or differ by less than float32 can tell: "
            "they become 0",
            kind="constant",
            where=f"{file} ({constant} of {inspection.dim})",
        )


def _lookalike_hint(missing: Sequence[str], stray: Sequence[str]) -> str:
    """Why rows may be of clips that have none: their names differ in what a person overlooks."""
    look = {look_of(clip_key(name)): name for name in missing}
    pairs = [(name, look[key]) for name in stray if (key := look_of(clip_key(name))) in look]
    return f"; {list_pairs(pairs)}: write each name in one way" if pairs else ""


def _warn_of_shared_actors(clips: Clips, faults: Faults) -> None:
    shared = np.intersect1d(clips.actor[: clips.n_source], clips.actor[clips.n_source :])
    names = [clips.actor_names[actor] for actor in shared if actor >= 0]
    if names:
        faults.warn(f"actor {list_names(names)} has both training and test clips: a test score would be flattered")


def fingerprint(clips: Clips, encoders: dict[str, EncoderFile]) -> str:
    """16 hex digits of a hash of clips, actors, folds, labels, their task and the encoders' content.

    Of the task counts what a result depends on, and not its name or the form of a submission.
    """
    digest = hashlib.sha256(repr((clips.n_source, clips.actor_names)).encode())
    digest.update("\n".join(clips.filename.tolist()).encode())
    for array in (clips.actor, clips.fold, clips.state):
        digest.update(array.astype("<i8").tobytes())
    digest.update(repr([(encoder.name, encoder.sha256) for encoder in encoders.values()]).encode())
    if _decisive(clips.task) != _decisive(BLEMORE):  # so that a fingerprint of BlEmoRE's data is what it always was
        digest.update(repr(_decisive(clips.task)).encode())
    return digest.hexdigest()[:16]


def _decisive(task: Task) -> tuple[Any, ...]:
    return (*compared_labels(task), task.metric)
