"""Validates and describes a data folder: what a user needs to judge it, and what would invalidate a result."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.config.invisible import invisible_characters
from rfe.data.dataset import Survey, fingerprint, read_features, survey_folder
from rfe.data.extremes import FAR, HUGE, find_far, find_huge
from rfe.data.faults import Faults, list_names
from rfe.data.features import EncoderFile
from rfe.data.leaks import find_leaks
from rfe.data.lookalikes import find_lookalikes, list_pairs
from rfe.data.metadata import Clips
from rfe.data.scale import describe_scale
from rfe.data.standardize import fit_statistics
from rfe.data.task import folder_task
from rfe.errors import DataError
from rfe.task import Task


@dataclass(frozen=True)
class EncoderRow:
    """One encoder of the report's table."""

    name: str
    file: str
    dim: int
    rows: int
    """Rows in the file, clips of the metadata or not."""
    source_coverage: float | None
    """Share of the training clips that have features; None without training clips or readable metadata."""
    target_coverage: float | None
    constant_columns: int
    non_finite_values: int
    """NaN and infinite values in all rows."""


@dataclass(frozen=True)
class FoldRow:
    fold: int
    clips: int
    actors: int
    """0 where actors are not known."""
    single: int
    blend: int


@dataclass(frozen=True)
class CheckReport:
    """What `rfe data check` prints. The folder is usable if there are no problems."""

    folder: str
    name: str
    fingerprint: str | None
    """None while there are problems."""
    simulated: bool
    task: Task | None
    """Which labels there are and what is scored; None where `task.yaml` is wrong."""
    source_clips: int | None
    """None while the metadata cannot be read; the next three too."""
    target_clips: int | None
    source_actors: int | None
    target_actors: int | None
    """0 where target clips carry no `video_id`."""
    encoders: tuple[EncoderRow, ...]
    folds: tuple[FoldRow, ...]
    sets: dict[str, int]
    """Training clips of each set of classes that the task has."""
    states: dict[str, int]
    """Training clips of each state: a set with the ratio of its blend."""
    problems: tuple[str, ...]
    """Each would invalidate a result: training refuses them all."""
    warnings: tuple[str, ...]
    caveats: tuple[str, ...]

    @property
    def usable(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        task = None if self.task is None else self.task.to_dict()
        return asdict(self) | {"task": task, "usable": self.usable}


def check_folder(folder: Path) -> CheckReport:
    """Read a whole data folder and report on it; problems are part of the report, not raised.

    Raises:
        DataError: only if `folder` is no folder.
    """
    faults = Faults()
    survey = survey_folder(Path(folder), faults)
    _warn_of_copies(survey, faults)
    clips = survey.clips
    task = clips.task if clips is not None else folder_task(survey.path, Faults())
    if clips is not None:
        _warn_of_lookalikes(clips, faults)
        _warn_of_values(survey, clips, faults)
    state = clips.state[clips.source] if clips is not None else np.zeros(0, np.int64)
    if clips is not None:
        _warn_of_labels(clips, faults)
    return CheckReport(
        folder=str(survey.path),
        name=survey.description.name,
        fingerprint=None if clips is None or faults.problems else fingerprint(clips, survey.encoders),
        simulated=survey.description.simulated,
        task=task,
        source_clips=clips.n_source if clips is not None else None,
        target_clips=clips.n_target if clips is not None else None,
        source_actors=_count_actors(clips, slice(None, clips.n_source)) if clips is not None else None,
        target_actors=_count_actors(clips, slice(clips.n_source, None)) if clips is not None else None,
        encoders=_describe_encoders(survey),
        folds=_describe_folds(clips) if clips is not None else (),
        sets={} if task is None else _count_sets(task, state),
        states={} if task is None else _count_states(task, state),
        problems=tuple(faults.problems),
        warnings=tuple(faults.warnings),
        caveats=survey.caveats,
    )


def _count_sets(task: Task, state: NDArray[np.int64]) -> dict[str, int]:
    """Set that can occur -> clips."""
    counts = np.bincount(task.state_set[state], minlength=task.n_sets).tolist()
    return {name: counts[index] for index, name in enumerate(task.set_names) if task.set_possible[index]}


def _count_states(task: Task, state: NDArray[np.int64]) -> dict[str, int]:
    """State that can occur -> clips."""
    counts = np.bincount(state, minlength=task.n_states).tolist()
    return {task.state_name(index): count for index, count in enumerate(counts) if task.state_possible[index]}


def _describe_encoders(survey: Survey) -> tuple[EncoderRow, ...]:
    clips = survey.clips
    rows = []
    for name, inspection in survey.inspections.items():
        available = survey.encoders[name].available if clips is not None else np.zeros(0, np.bool_)
        n_source = clips.n_source if clips is not None else 0
        rows.append(
            EncoderRow(
                name=name,
                file=survey.files[name].name,
                dim=inspection.dim,
                rows=len(inspection.filenames),
                source_coverage=float(available[:n_source].mean()) if n_source else None,
                target_coverage=float(available[n_source:].mean()) if len(available) > n_source else None,
                constant_columns=inspection.constant_columns,
                non_finite_values=int(inspection.non_finite.sum()),
            )
        )
    return tuple(rows)


def _describe_folds(clips: Clips) -> tuple[FoldRow, ...]:
    rows = []
    for fold in clips.folds:
        members = np.flatnonzero(clips.fold == fold)
        blends = int(clips.task.state_is_blend[clips.state[members]].sum())
        actors = _count_actors(clips, members)
        rows.append(FoldRow(fold, len(members), actors, len(members) - blends, blends))
    return tuple(rows)


def _count_actors(clips: Clips, positions: Any) -> int:
    actors = clips.actor[positions]
    return len(np.unique(actors[actors >= 0]))


def _warn_of_copies(survey: Survey, faults: Faults) -> None:
    names = list(survey.inspections)
    by_content = Counter(inspection.sha256 for inspection in survey.inspections.values())
    copies = [name for name in names if by_content[survey.inspections[name].sha256] > 1]
    if copies:
        faults.warn(f"encoders with the same content as another one: {', '.join(copies)}")


def _warn_of_lookalikes(clips: Clips, faults: Faults) -> None:
    """Ids that a person takes for the same, and the program does not."""
    for column, names, question in (
        ("filename", clips.filename.tolist(), "are they the same clip?"),
        ("video_id", clips.actor_names, "are they one actor, who is then in two groups?"),
    ):
        if pairs := find_lookalikes(names):
            faults.warn(f"{column}: {list_pairs(pairs)} look alike; {question} Write each in one way")
        if hidden := [name for name in names if invisible_characters(name)]:
            shown = list_names([f"{name!a} ({invisible_characters(name)})" for name in hidden])
            faults.warn(f"{column}: invisible characters in {shown}; remove them")


def _warn_of_values(survey: Survey, clips: Clips, faults: Faults) -> None:
    """Columns of features that tell a label, and target clips whose features are of another scale."""
    for encoder in survey.encoders.values():
        try:
            values = read_features(encoder, clips)
        except DataError:
            continue  # its values are not finite, which is a problem already
        _warn_of_extremes(encoder, values, clips, faults)
        for told, columns in find_leaks(values, clips, encoder.available).items():
            numbers = _list_numbers(columns)
            faults.warn(
                f"{encoder.path.name}, X: {numbers} (counted from 0) {_verb(columns, 'tell')} the {told} of "
                f"every training clip, {_TOLD[told]}",
                kind=f"tells the {told}",
                where=f"{encoder.path.name} ({numbers})",
            )
        source, target = (part[encoder.available[part]] for part in (clips.source, clips.target))
        if len(source):
            mean, variance = fit_statistics(values[source])
            if off := describe_scale(values[target], mean, variance):
                faults.warn(
                    f"{encoder.path.name}: the features of test clips are far off those of training clips ({off}); "
                    "compute both in the same way, standardise neither",
                    kind="scale of test clips",
                    where=encoder.path.name,
                )


def _warn_of_extremes(encoder: EncoderFile, values: NDArray[np.float32], clips: Clips, faults: Faults) -> None:
    """Single values that spoil their column."""
    name = encoder.path.name
    if huge := find_huge(values):
        row, column = np.unravel_index(np.abs(values[:, huge]).argmax(), (len(values), len(huge)))
        faults.warn(
            f"{name}, X: {_list_numbers(huge)} (counted from 0) {_verb(huge, 'hold')} values beyond {HUGE:.0e}, e.g. "
            f"{values[row, huge[column]]:.3g} of {clips.filename[row]}, as programs write what is missing; leave these "
            "clips' rows out (a clip without features is masked), or replace the values",
            kind="huge values",
            where=f"{name} ({_list_numbers(huge)})",
        )
    folds = [values[(clips.fold == fold) & encoder.available] for fold in clips.folds]
    far = find_far(folds, values[clips.target][encoder.available[clips.target]])
    if others := [column for column in far if column not in huge]:
        faults.warn(
            f"{name}, X: {_list_numbers(others)} (counted from 0) {_verb(others, 'hold')} values more than {FAR:.0e} "
            "standard deviations off the training clips of the other folds, which no model can use; repair these "
            "values, or leave the column out",
            kind="far values",
            where=f"{name} ({_list_numbers(others)})",
        )


def _list_numbers(columns: list[int]) -> str:
    return f"column{'s' * (len(columns) > 1)} {list_names([str(one) for one in columns])}"


def _verb(columns: list[int], verb: str) -> str:
    return verb + "s" * (len(columns) == 1)


_TOLD = {
    "label": "as no features do; leave labels out of the features",
    "actor": "with one number for each; leave ids out of the features",
    "fold": "with one number for each; leave the fold out of the features",
}


def _warn_of_labels(clips: Clips, faults: Faults) -> None:
    counts = _count_sets(clips.task, clips.state[clips.source])
    absent = [name for name, count in counts.items() if count == 0]
    if absent and clips.n_source:
        faults.warn(f"no training clip shows {list_names(absent)}: no model can learn it here")
    if not clips.n_target:
        faults.warn("there are no target clips: an export of this data holds no submission")
    elif not clips.target_has_actors:
        faults.warn("target clips carry no video_id: data.target_actors can be pseudo or unknown, not known")
