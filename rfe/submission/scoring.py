"""The official metrics of a file: of a submission's answers, or of probabilities with the organisers' thresholds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.arrays import read_arrays
from rfe.data.caveats import TRUTH_FILE
from rfe.data.dataset import Dataset
from rfe.data.faults import list_names
from rfe.data.labelled import LabelledClips
from rfe.data.metadata import clip_key
from rfe.decoding.base import Outputs
from rfe.decoding.fitting import crossfit_decode
from rfe.decoding.official import OfficialDecoder
from rfe.errors import ConfigError, DataError, SubmissionError, gather
from rfe.metrics.choice import PARTS
from rfe.metrics.intervals import InfluenceTable, Interval, score_interval
from rfe.submission.writers import writer_of
from rfe.task import Task

OPTIMISTIC = "optimistic: the thresholds were chosen with the labels they are scored on, as the organisers do"
ONE_FOLD = "the labels name no two folds, so no thresholds were chosen on other clips than those they are scored on"
HONEST = "each fold is answered with thresholds from the other folds"


@dataclass(frozen=True)
class Rating:
    """The official metrics of one set of answers, with intervals over actors."""

    name: str
    """What gave the answers: `submission`, `grid`, `exact`, `crossfit grid` or `crossfit exact`."""
    intervals: dict[str, Interval]
    """Metric -> estimate with its 95% interval; nan where no clip is a true blend."""
    blend_rate: float
    """Share of the answers that are blends."""
    thresholds: tuple[float, float] | None = None
    """(alpha, beta), where one pair answers all clips."""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; null where something was not measured."""
        values: dict[str, Any] = {"name": self.name, "blend_rate": self.blend_rate, "note": self.note}
        values |= {metric: interval.to_dict() for metric, interval in self.intervals.items()}
        if self.thresholds is not None:
            values["thresholds"] = {"alpha": self.thresholds[0], "beta": self.thresholds[1]}
        return values


@dataclass(frozen=True)
class FileScore:
    """The result of `rfe score`."""

    path: Path
    data: str
    n_clips: int
    """Labelled clips that the file answers: what is scored."""
    n_blends: int
    n_actors: int
    """Of the scored clips; 0 where actors are unknown."""
    ratings: tuple[Rating, ...]
    notes: tuple[str, ...]
    """What a reader must know: the data's caveats, what was left out, what the intervals mean."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "path": str(self.path),
            "data": self.data,
            "n_clips": self.n_clips,
            "n_blends": self.n_blends,
            "n_actors": self.n_actors,
            "ratings": [rating.to_dict() for rating in self.ratings],
            "notes": list(self.notes),
        }


def score_file(path: Path, dataset: Dataset | LabelledClips) -> FileScore:
    """Score a file's answers on clips with labels; simulated target clips have labels, too.

    Names are compared without extension. Labelled clips that the file leaves out are not counted, and a note says how
    many there are; answers to clips without label cannot be scored.

    Args:
        path: a submission in the form of the data's task (BlEmoRE's is `.json` or `.zip`, others are `.csv`), or an
            `.npz` with `probabilities` [N, class] in the order of the task's classes and `filenames` [N]. Probabilities
            are answered with the organisers' two thresholds: their 20 x 20 grid's choice, the exact optimum, and both
            crossfit where the clips stand in two folds or more.
        dataset: holds the labels; features are not looked at.

    Raises:
        SubmissionError: the file is absent, unsafe or wrong, or answers no labelled clip.
    """
    path, truth, task = Path(path), known_states(dataset), dataset.clips.task
    if path.suffix.lower() != ".npz":
        states, faults = writer_of(task).read(task, path)
        gather(faults, SubmissionError, str(path))
        rows, clips, notes = _match(path, list(states), truth, dataset)
        answers = np.array([-1 if one is None else one for one in states.values()], np.int64)[rows]
        ratings = [_rate("submission", answers, truth, clips, dataset)]
    else:
        filenames, probabilities = read_probabilities(task, path)
        rows, clips, notes = _match(path, filenames, truth, dataset)
        try:
            ratings = _rate_probabilities(probabilities[rows], truth, clips, dataset)
        except ConfigError:  # thresholds do not fit the task's ratios
            raise SubmissionError(
                f"{path}: probabilities are answered by two thresholds, which cannot tell the ratios of task "
                f"{task.name!r} apart ({task.ratio_list}); score its {writer_of(task).names[-1]}"
            ) from None
        if len(np.unique(dataset.clips.fold[clips])) < 2:
            notes.append(ONE_FOLD)
    overall = ratings[0].intervals["score"]
    return FileScore(
        path=path,
        data=dataset.name,
        n_clips=len(clips),
        n_blends=int(task.state_is_blend[truth[clips]].sum()),
        n_actors=overall.n_actors if (dataset.clips.actor[clips] >= 0).all() else 0,
        ratings=tuple(ratings),
        notes=(*dataset.caveats, *notes, *overall.notes),
    )


def read_probabilities(task: Task, path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Names and probabilities [N, class] of an `.npz`.

    Raises:
        SubmissionError: with what is wrong with the file.
    """
    if not path.is_file():
        raise SubmissionError(
            f"{path}: no such file; give an .npz with probabilities [N, {task.n_classes}] and filenames [N]"
        )
    try:
        stored = read_arrays(path, ("probabilities", "filenames"))
    except DataError as problem:
        raise SubmissionError(f"{problem}; save both with numpy.savez, no Python objects") from None
    probabilities, filenames = stored["probabilities"], stored["filenames"]
    problems = []
    if filenames.ndim != 1 or filenames.dtype.kind not in "US":
        problems.append(f"filenames must be text [N], not {filenames.dtype} {filenames.shape}")
    if probabilities.dtype.kind not in "fiu" or probabilities.shape != (len(np.atleast_1d(filenames)), task.n_classes):
        problems.append(
            f"probabilities must be numbers [N, {task.n_classes}] in the order {', '.join(task.classes)}, one row a "
            f"file name, not {probabilities.dtype} {probabilities.shape}"
        )
    gather(problems, SubmissionError, str(path))
    try:
        names = [name.decode() if isinstance(name, bytes) else str(name) for name in filenames.tolist()]
    except ValueError as problem:
        raise SubmissionError(f"{path}: filenames are not text ({problem}); compute the file again") from None
    values = probabilities.astype(np.float64)
    for what, wrong in (
        ("are not finite", ~np.isfinite(values).all(-1)),
        ("are negative", (values < 0).any(-1)),
        ("do not sum to 1 (apply a softmax first)", np.abs(values.sum(-1) - 1) > 0.01),
    ):
        if wrong.any():
            first = [names[row] for row in np.flatnonzero(wrong)]
            raise SubmissionError(f"{path}: probabilities {what} for {list_names(first)}")
    return names, values


def known_states(dataset: Dataset | LabelledClips) -> NDArray[np.int64]:
    """[clip] true states, -1 where the label is not known; a simulated set's `truth.json` knows the target's too.

    Raises:
        DataError: `truth.json` is not what the simulator writes.
    """
    states = dataset.clips.state.copy()
    path = dataset.path / TRUTH_FILE
    if dataset.simulated and path.is_file():
        try:
            labels = json.loads(path.read_text(encoding="utf-8"))["test_labels"]
            for clip in dataset.clips.target:
                states[clip] = dataset.clips.task.state_index(labels[str(dataset.clips.filename[clip])])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            raise DataError(f"{path}, test_labels: {problem!r}; simulate the data again") from None
    return states


def _match(
    path: Path, names: Sequence[str], truth: NDArray[np.int64], dataset: Dataset | LabelledClips
) -> tuple[list[int], NDArray[np.int64], list[str]]:
    """Rows of the file and the labelled clips they answer, in the data's order; and notes on what was left out."""
    row_of: dict[str, int] = {}
    for row, name in enumerate(names):
        if clip_key(name) in row_of:
            raise SubmissionError(f"{path}: clip {clip_key(name)} is answered twice; keep one answer")
        row_of[clip_key(name)] = row
    keys = [clip_key(name) for name in dataset.clips.filename.tolist()]
    if strange := row_of.keys() - set(keys):
        unknown = [names[row] for key, row in row_of.items() if key in strange]
        raise SubmissionError(f"{path}: {list_names(unknown)}: not a clip of {dataset.path}; is this the right --data?")
    clips = np.array([clip for clip, key in enumerate(keys) if key in row_of and truth[clip] >= 0], np.int64)
    if not len(clips):
        raise SubmissionError(
            f"{path}: answers {len(names)} clips of {dataset.path}, none of which has a label there; "
            "a submission for target clips is scored by the challenge (a CSV file that holds their labels can be given "
            "as --data)"
        )
    notes = []
    is_target = np.arange(len(keys)) >= dataset.clips.n_source
    parts = np.isin(is_target, is_target[clips])  # a file of one split is not blamed for lacking the other
    if left := int((truth[parts] >= 0).sum()) - len(clips):
        notes.append(f"{left} labelled clips are not in the file and not counted")
    if unlabelled := len(names) - len(clips):
        notes.append(f"{unlabelled} answers are for clips without a label and not counted")
    return [row_of[keys[clip]] for clip in clips], clips, notes


def _rate(
    name: str,
    answers: NDArray[np.int64],
    truth: NDArray[np.int64],
    clips: NDArray[np.int64],
    dataset: Dataset | LabelledClips,
    thresholds: tuple[float, float] | None = None,
    note: str = "",
) -> Rating:
    of = dataset.clips
    actor, fold = of.actor[clips], of.fold[clips]
    if (actor < 0).any():  # half of them would make one actor of all strangers
        actor = np.full(len(clips), -1)
    table = InfluenceTable.of_answers(of.task, truth[clips], answers, actor, fold)
    intervals: dict[str, Interval] = {part: score_interval(table, part) for part in PARTS}
    return Rating(name, intervals, float((of.task.state_is_blend[answers] & (answers >= 0)).mean()), thresholds, note)


def _rate_probabilities(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    clips: NDArray[np.int64],
    dataset: Dataset | LabelledClips,
) -> list[Rating]:
    outputs, fold, task = Outputs.of_probabilities(probabilities), dataset.clips.fold[clips], dataset.clips.task
    optimistic, honest = [], []
    for kind, decoder in (("grid", OfficialDecoder(task, "grid")), ("exact", OfficialDecoder(task, "exact"))):
        parameters = decoder.fit(outputs, truth[clips])
        answers = decoder.decode(outputs, parameters)
        pair = (float(parameters.blend), float(parameters.even))
        optimistic.append(_rate(kind, answers, truth, clips, dataset, pair, OPTIMISTIC))
        if len(np.unique(fold)) > 1:
            answers, _ = crossfit_decode(decoder, outputs, truth[clips], fold)
            honest.append(_rate(f"crossfit {kind}", answers, truth, clips, dataset, note=HONEST))
    return optimistic + honest
