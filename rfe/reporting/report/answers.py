"""What one finished configuration answers out of fold, looked at from several sides: the numbers, not their display."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfe.data.arrays import read_arrays
from rfe.data.dataset import Dataset
from rfe.data.metadata import Clips
from rfe.data.scores import answer_influence
from rfe.ensemble.candidates import Candidate
from rfe.errors import DataError, StudyError
from rfe.metrics.choice import PARTS
from rfe.metrics.intervals import InfluenceTable, Interval, score_interval
from rfe.metrics.presence import presence_hits
from rfe.metrics.salience import salience_hits
from rfe.task import Task
from rfe.tracking.contents import count_confusion

FEWEST_CLIPS = 5
"""An actor with fewer clips, or without a blend where saliences are scored, has no Score of their own."""


@dataclass(frozen=True)
class Answers:
    """Out-of-fold answers beside the truth."""

    clips: Clips
    predicted: NDArray[np.int64]
    """[seed, source clip] states."""

    @property
    def task(self) -> Task:
        """Whose states they are."""
        return self.clips.task

    @property
    def truth(self) -> NDArray[np.int64]:
        """[source clip]"""
        return self.clips.state[: self.clips.n_source]

    @property
    def actor(self) -> NDArray[np.int64]:
        """[source clip]"""
        return self.clips.actor[: self.clips.n_source]

    def table(self) -> InfluenceTable:
        """The metrics, and each clip's influence on them."""
        return answer_influence(self.clips, self.predicted)

    def intervals(self) -> dict[str, Interval]:
        """Score and its halves, over actors and seeds."""
        table = self.table()
        return {part: score_interval(table, part) for part in PARTS}


@dataclass(frozen=True)
class Confusion:
    task: Task
    counts: NDArray[np.float64]
    """[true set, answered set] clips, mean over seeds."""

    @property
    def share(self) -> NDArray[np.float64]:
        """[true set, answered set] of the true set's clips; NaN where there are none."""
        total = self.counts.sum(1, keepdims=True)
        return np.where(total > 0, self.counts / np.maximum(total, 1e-9), np.nan)

    @property
    def wrong_blends_sharing(self) -> float:
        """Of true blends whose set is answered wrongly, how many are answered with one of their classes; NaN: none."""
        n = self.task.n_classes
        wrong = self.counts[n:] * ~np.eye(self.task.n_sets, dtype=bool)[n:]
        return float((wrong * self._shares_class[n:]).sum() / wrong.sum()) if wrong.sum() else float("nan")

    @property
    def _shares_class(self) -> NDArray[np.bool_]:
        """[set, set]"""
        members = self.task.set_members
        return (members @ members.T) > 0

    def commonest(self, n: int = 12) -> list[tuple[str, str, float, float, bool]]:
        """The commonest errors: truth, answer, clips, share of the true set's clips, whether they share a class."""
        wrong = self.counts * ~np.eye(self.task.n_sets, dtype=bool)
        order = np.argsort(-wrong, axis=None, kind="stable")[:n]
        pairs = [divmod(int(index), self.task.n_sets) for index in order if wrong.flat[index] > 0]
        names, share, shared = self.task.set_names, self.share, self._shares_class
        return [(names[i], names[j], float(wrong[i, j]), float(share[i, j]), bool(shared[i, j])) for i, j in pairs]


@dataclass(frozen=True)
class Recall:
    """One class, in singles and blends together."""

    name: str
    clips: int
    recall: Interval
    """Of the clips that show it, how many answers name it."""
    precision: float
    """Of the answers that name it, how many are of clips that show it; NaN: none names it."""


@dataclass(frozen=True)
class ActorScore:
    actor: str
    fold: int
    clips: int
    acc_presence: float
    acc_salience: float | None
    """None where the task's metric does not compare saliences."""

    @property
    def score(self) -> float:
        return self.acc_presence if self.acc_salience is None else (self.acc_presence + self.acc_salience) / 2


def read_study_answers(candidate: Candidate, dataset: Dataset) -> Answers:
    """The answers of a candidate's fold models.

    Raises:
        StudyError: its outputs were not kept, or are of other data.
    """
    arrays = kept_arrays(candidate, ("filenames", "predicted_state"))
    predicted = np.atleast_2d(arrays["predicted_state"].astype(np.int64))
    return answers_of(arrays["filenames"], predicted, dataset, where_of(candidate))


def answers_of(filenames: NDArray[Any], predicted: NDArray[np.int64], dataset: Dataset, where: str) -> Answers:
    """Answers beside the truth.

    Args:
        filenames: [clip] that were answered.
        predicted: [seed, clip] states.
        dataset: with the truth.
        where: whose they are, for the sentence.

    Raises:
        StudyError: they are of other clips than the data set's.
    """
    if not np.array_equal(filenames, dataset.clips.filename[: dataset.clips.n_source]):
        raise StudyError(f"{where}: its clips are not those of {dataset.path}; name its data with --data")
    return Answers(dataset.clips, predicted)


def measure_confusion(answers: Answers) -> Confusion:
    """By set."""
    return Confusion(answers.task, count_confusion(answers.task, answers.truth, answers.predicted))


def measure_recalls(answers: Answers) -> tuple[Recall, ...]:
    """One for each class that a clip shows."""
    task = answers.task
    shown = task.set_members[task.state_set[answers.truth]] > 0  # [clip, class]
    named = task.set_members[task.state_set[answers.predicted]] > 0  # [seed, clip, class]
    named &= (answers.predicted >= 0)[..., None]
    fold, found = answers.clips.fold[: answers.clips.n_source], []
    for index, name in enumerate(task.class_names):
        mine = shown[:, index]
        if not mine.any():
            continue
        hits = named[:, mine, index].astype(np.float64)
        table = InfluenceTable.of_hits("recall", hits, answers.actor[mine], fold[mine])
        total = named[..., index].sum()
        precision = float(hits.sum() / total) if total else float("nan")
        found.append(Recall(name, int(mine.sum()), score_interval(table, "recall"), precision))
    return tuple(found)


def measure_actors(answers: Answers) -> tuple[ActorScore, ...]:
    """Actors with enough clips, the lowest Score first; none where actors are unknown."""
    presence = presence_hits(answers.task, answers.truth, answers.predicted).mean(0)
    salience = salience_hits(answers.task, answers.truth, answers.predicted).mean(0)
    blend = answers.task.state_is_blend[answers.truth]
    scored, rows = answers.task.scores_saliences, []
    for index in np.unique(answers.actor[answers.actor >= 0]):
        mine = answers.actor == index
        if mine.sum() >= FEWEST_CLIPS and ((mine & blend).any() or not scored):
            rows.append(
                ActorScore(
                    answers.clips.actor_names[index],
                    int(answers.clips.fold[: answers.clips.n_source][mine][0]),
                    int(mine.sum()),
                    float(presence[mine].mean()),
                    float(salience[mine & blend].mean()) if scored else None,
                )
            )
    return tuple(sorted(rows, key=lambda row: (row.score, row.actor)))


def kept_arrays(candidate: Candidate, names: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    """Arrays of a candidate's outputs.

    Raises:
        StudyError: they were not kept, or cannot be read.
    """
    path: Path | None = candidate.outputs
    if path is None or not path.is_file():
        raise StudyError(f"{where_of(candidate)}: its outputs were not kept; retrain it with `rfe train --from`")
    try:
        return read_arrays(path, names)
    except DataError as problem:
        raise StudyError(f"{where_of(candidate)}: {problem}") from None


def where_of(candidate: Candidate) -> str:
    """The candidate in words."""
    return f"study {candidate.study!r}, trial {candidate.number}"
