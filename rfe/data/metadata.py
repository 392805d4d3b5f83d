"""Clips, actors, folds and labels of a data folder, from its metadata files.

Which labels there are, `task.yaml` says; without one they are BlEmoRE's. Either one `metadata.csv` with a `split`
column (train, test), or the official pair `train_metadata.csv` and `test_metadata.csv` (the latter optional). Labels
come from columns only, never from file names; a target clip's labels are not read even where they stand. To predict,
neither labels and folds nor a split are needed. Source of the columns: the BlEmoRE challenge (arXiv 2601.13225).
"""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rfe.data.faults import Faults, list_names
from rfe.data.known_names import may_name_actor
from rfe.data.labels import label_columns, parse_state
from rfe.data.table import Row, read_table, require_columns
from rfe.data.task import TASK_FILE, folder_task
from rfe.task import BLEMORE, Task

METADATA_FILES = ("metadata.csv", "train_metadata.csv", "test_metadata.csv")
COLUMNS = (
    *("filename", "split", "video_id", "mix"),
    *("emotion_1", "emotion_2", "emotion_1_salience", "emotion_2_salience", "fold"),
)
"""All that are read."""
_NAMES = {"filename": "name each clip in it, as the feature files do"}
_SPLIT = {"split": "write train or test for each clip in it, or name a file of unlabelled clips test_metadata.csv"}
_FOLD = {"fold": "give each training clip a whole number from 0, the same for all clips of an actor"}
_RECORDINGS = """
mov qt mp4 avi mkv webm flv f4v m4v mpg mpeg mpe mp2 mpv m1v m2v wmv asf 3gp 3g2 3gpp 3gp2 3gpp2 amv ogv ogm mts m2ts ts
m2t vob mxf divx rm rmvb dv y4m mjpeg mjpg
wav rf64 w64 flac mp3 m4a m4b aac ogg oga opus spx wma aif aiff aifc au amr awb mka weba caf ac3 eac3 wv ape tta tak
"""
_EXTENSION = re.compile(rf"(\.({'|'.join((*_RECORDINGS.split(), 'npy', 'npz', 'csv'))}))+$", re.IGNORECASE)


@dataclass(frozen=True)
class Clips:
    """All clips: training ("source") clips first, then target clips; within each in the file's order."""

    filename: NDArray[np.str_]
    """[clip] as the metadata has it."""
    actor: NDArray[np.int64]
    """[clip] index into `actor_names`; -1 unknown."""
    actor_names: tuple[str, ...]
    fold: NDArray[np.int64]
    """[clip] the official fold; -1 for target clips, and where labels were not asked for."""
    state: NDArray[np.int64]
    """[clip] index into the task's states; -1 as of `fold`."""
    n_source: int
    task: Task
    """Which labels there are, and what is scored."""

    def __len__(self) -> int:
        return len(self.filename)

    @property
    def n_target(self) -> int:
        return len(self) - self.n_source

    @property
    def source(self) -> NDArray[np.int64]:
        """[source clip] positions of the training clips."""
        return np.arange(self.n_source)

    @property
    def target(self) -> NDArray[np.int64]:
        """[target clip] positions of the target clips."""
        return np.arange(self.n_source, len(self))

    @property
    def source_has_actors(self) -> bool:
        return self.n_source > 0 and bool((self.actor[: self.n_source] >= 0).all())

    @property
    def target_has_actors(self) -> bool:
        """False also where there is no target clip at all."""
        return self.n_target > 0 and bool((self.actor[self.n_source :] >= 0).all())

    @property
    def folds(self) -> tuple[int, ...]:
        return tuple(np.unique(self.fold[: self.n_source]).tolist())


def clip_key(filename: str) -> str:
    """The key that clips are compared by: the name without extensions, e.g. `test_0001` for `test_0001.mov.npy`.

    Examples:
        >>> clip_key("test_0001.mov.npy"), clip_key("test_0001")
        ('test_0001', 'test_0001')
    """
    return _EXTENSION.sub("", filename)


def read_clips(folder: Path, *, need_source: bool = True) -> Clips:
    """Read a data folder's metadata.

    Args:
        folder: holds `metadata.csv`, or `train_metadata.csv` and perhaps `test_metadata.csv`; and perhaps `task.yaml`.
        need_source: False also accepts a folder of target clips only (to predict, not to train).

    Raises:
        DataError: with every fault of the files in one message.
    """
    faults = Faults()
    clips = collect_clips(Path(folder), faults, need_source=need_source)
    faults.refuse(str(folder))
    assert clips is not None  # None comes with a problem
    return clips


def collect_clips(
    folder: Path,
    faults: Faults,
    *,
    need_source: bool = True,
    need_labels: bool = True,
    need_folds: bool = True,
    unlabelled_as: Task = BLEMORE,
) -> Clips | None:
    """`read_clips` that notes faults instead of raising; None if the files have any problem.

    Args:
        folder, faults, need_source: as `read_clips`.
        need_labels: False reads names and actors only, also of a `metadata.csv` without `split`, whose clips then all
            count as training clips (to predict, not to train); or of one CSV file.
        need_folds: False reads labels wherever there are some, without `split`, folds and actors being needed (to
            score); or of one CSV file, whose rows then all count as training clips. The state of clips without label
            is -1; all stand in fold 0 where not every labelled one has a fold.
        unlabelled_as: the task of a folder that has neither labels nor `task.yaml`.
    """
    before = len(faults.problems)
    task = folder_task(folder if folder.is_dir() else folder.parent, faults)
    tables = _read_split_tables(folder, faults, task or BLEMORE, need_labels=need_labels, need_folds=need_folds)
    if task is None or len(faults.problems) > before:
        return None
    source, target = tables["train"], tables["test"]
    rows = source + target
    if not any(row["emotion_1"] for row in rows) and not (folder / TASK_FILE).is_file():
        task = unlabelled_as
    _report_repeated(rows, faults)
    actors = [_read_actor(row["video_id"]) for row in rows]
    states, folds = [-1] * len(source), [-1] * len(source)
    if need_labels and not need_folds:
        states, folds = _read_given_labels(source, task, faults)
    elif need_labels:
        _report_actor_gaps(source, target, actors, faults)
        states, folds = _read_labels(source, task, faults)
        if len(folds) == len(source):
            _report_folds(source, folds, actors, faults, need_source=need_source)
        if source and len(states) == len(source) and not task.state_is_blend[states].any() and task.scores_saliences:
            lacking = "ACC_salience and Score are" if task.metric == "blemore" else f"{task.metric} is"
            faults.problem(f"{source[0].file}: no training clip is a blend, so {lacking} not defined")
    if len(faults.problems) > before:
        return None
    names = tuple(sorted(set(actors) - {""}))
    position = {name: index for index, name in enumerate(names)} | {"": -1}
    no_label = [-1] * len(target)
    return Clips(
        filename=np.array([row.filename for row in rows], np.str_),
        actor=np.array([position[name] for name in actors], np.int64),
        actor_names=names,
        fold=np.array(folds + no_label, np.int64),
        state=np.array(states + no_label, np.int64),
        n_source=len(source),
        task=task,
    )


def _read_labels(source: list[Row], task: Task, faults: Faults) -> tuple[list[int], list[int]]:
    """(states, folds) of the training clips; shorter where a row has none."""
    states: list[int] = []
    folds: list[int] = []
    for row in source:
        for values, read in ((states, partial(parse_state, task)), (folds, _read_fold)):
            try:
                values.append(read(row))
            except ValueError as error:
                faults.problem(f"{row.file}, {error}", row.filename)
    return states, folds


def _read_given_labels(source: list[Row], task: Task, faults: Faults) -> tuple[list[int], list[int]]:
    """As `_read_labels`; a row without label is of state -1, and all are of fold 0 if one with a label has none."""
    states: list[int] = []
    folds: list[int] = []
    has_folds = True
    for row in source:
        labelled = bool(row["emotion_1"] or row["emotion_2"])
        try:
            states.append(parse_state(task, row) if labelled else -1)
        except ValueError as error:
            faults.problem(f"{row.file}, {error}", row.filename)
        try:
            folds.append(_read_fold(row))
        except ValueError:
            folds.append(0)
            has_folds = has_folds and not labelled
    return states, folds if has_folds else [0] * len(source)


def _read_split_tables(
    folder: Path, faults: Faults, task: Task, *, need_labels: bool, need_folds: bool
) -> dict[str, list[Row]]:
    """The rows of both splits, whichever files hold them; required columns are there unless a problem was noted."""
    present = [name for name in METADATA_FILES if (folder / name).is_file()]
    tables: dict[str, list[Row]] = {"train": [], "test": []}
    needs_split = need_labels and need_folds
    if folder.is_file():
        rows = read_table(folder, _NAMES, COLUMNS, faults)
        if need_labels or not any(row["split"] for row in rows):
            tables["train"] = rows
        else:
            _divide(rows, tables, faults)
    elif not present:
        faults.problem(
            "no metadata: expected metadata.csv with a split column, or train_metadata.csv (and test_metadata.csv)"
        )
    elif "metadata.csv" in present:
        if len(present) > 1:
            faults.problem(f"both metadata.csv and {', '.join(present[1:])} are there; keep one form, move the other")
        required = _NAMES | _SPLIT if needs_split else _NAMES
        rows = read_table(folder / "metadata.csv", required, COLUMNS, faults)
        if needs_split or any(row["split"] for row in rows):
            _divide(rows, tables, faults)
        else:
            tables["train"] = rows
    else:
        for name in present:
            tables[name.split("_")[0]] = read_table(folder / name, _NAMES, COLUMNS, faults)
    for rows in tables.values():
        if rows and need_labels:
            _report_actor_column(rows[0], faults)
    if tables["train"] and need_labels:
        required = label_columns(task) | (_FOLD if need_folds else {})
        require_columns(tables["train"][0].file, tables["train"][0].values, required, COLUMNS, faults)
    return tables


def _report_actor_column(row: Row, faults: Faults) -> None:
    """Actors under another name would be taken for unknown, and not be kept in one fold each."""
    other = [name for name in row.values if may_name_actor(name)]
    if "video_id" not in row.values and other:
        faults.problem(
            f"{row.file} has no column video_id but {', '.join(other)}; did you mean video_id? Rename it, or give it a "
            "name that says what else it is"
        )


def _divide(rows: list[Row], tables: dict[str, list[Row]], faults: Faults) -> None:
    """Put each row of a `metadata.csv` to its split's."""
    for row in rows:
        split = row["split"].lower()
        if split in tables:
            tables[split].append(row)
        elif split:
            faults.problem(f"{row.file}, split: {split!r} is neither train nor test", row.filename)
        elif "split" in row.values:
            faults.problem(f"{row.file}, split is empty; write train or test", row.filename)


def _report_repeated(rows: list[Row], faults: Faults) -> None:
    first: dict[str, Row] = {}
    for row in rows:
        other = first.setdefault(clip_key(row.filename), row)
        if other is row:
            continue
        if other.file == row.file and other["split"] == row["split"]:
            faults.problem(f"{row.file}: a clip occurs more than once; keep one row for each", row.filename)
        else:
            faults.problem("a clip is both a training and a test clip; keep one row for it", row.filename)


def _report_actor_gaps(source: list[Row], target: list[Row], actors: list[str], faults: Faults) -> None:
    """Actor ids are given for all clips of a part or for none; half of them would make groups of strangers."""
    for part, names, note in (
        (source, actors[: len(source)], faults.problem),
        (target, actors[len(source) :], faults.warn),
    ):
        unnamed = [row.filename for row, name in zip(part, names, strict=True) if not name]
        if unnamed and len(unnamed) < len(part):
            remedy = "fill them in" if part is source else "their part counts as one of unknown actors"
            note(f"{part[0].file}, video_id is empty for some clips only; {remedy}", *unnamed)


def _report_folds(source: list[Row], folds: list[int], actors: list[str], faults: Faults, *, need_source: bool) -> None:
    if not source:
        if need_source:
            faults.problem("there are no training clips; at least two folds of them are needed")
        return
    if len(set(folds)) < 2:
        faults.problem(
            f"{source[0].file}, fold: all training clips are in fold {folds[0]}; cross-validation needs at least two"
        )
    folds_of_actor: dict[str, set[int]] = {}
    for actor, fold in zip(actors, folds, strict=False):  # target clips have no fold
        folds_of_actor.setdefault(actor, set()).add(fold)
    split_actors = [
        f"{actor} (folds {', '.join(map(str, sorted(seen)))})"
        for actor, seen in sorted(folds_of_actor.items())
        if actor and len(seen) > 1
    ]
    if split_actors:
        faults.problem(
            f"{source[0].file}, fold: actor {list_names(split_actors)} is in more than one fold, so a model is "
            "scored on people it was trained on; put all clips of an actor into one fold"
        )


def _read_fold(row: Row) -> int:
    return row.whole_number("fold")


def _read_actor(text: str) -> str:
    """An actor's id; 1001.0 (a column of numbers that once had gaps) is 1001."""
    return re.sub(r"^(\d+)\.0+$", r"\1", text)
