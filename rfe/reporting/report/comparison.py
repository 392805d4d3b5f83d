"""The subjects of a report side by side, and beside published numbers where those are of the same clips."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from rfe.data.dataset import Dataset
from rfe.data.task import compared_labels
from rfe.reporting.report.document import Axis, Block, Column, Figure, Panel, Points, ReportSection, Table, Text
from rfe.reporting.report.subject import Headline, Subject
from rfe.task import BLEMORE

BLEMORE_FOLDS = (522, 486, 468, 472, 508)
"""Clips in the official folds of the BlEmoRE training partition (arXiv 2601.13225)."""
PROTOCOLS = {
    "validation": "official: thresholds and epoch chosen on the reported fold, optimistic",
    "test": "test: the challenge's 594 withheld clips of other actors",
}
OURS = {
    "score_selected": "crossfit, selected on the other folds",
    "confirmed": "crossfit, fresh seeds; configuration chosen on these clips",
    "score_nested": "crossfit, nested",
    "base": "crossfit, fresh seeds",
    "score_best": "crossfit, optimistic: best of the search",
    "score_in_sample": "in-sample: chosen and weighted by these clips",
}


STATISTICS = {
    "score_selected": "selected",
    "score_nested": "selected",
    "confirmed": "confirmed",
    "base": "confirmed",
    "score_best": "optimistic",
    "score_in_sample": "in-sample",  # no estimate, and no bound either: it may lie below the nested score
}
"""Named score -> what it is a value of; scores of different statistics are not compared."""
COMPARED = {
    "selected": "each fold is answered by what was chosen without its labels (a study's score_selected, an ensemble's "
    "score_nested)",
    "confirmed": "trained again with fresh seeds (a study's best trials, an ablation's base)",
}


@dataclass(frozen=True)
class Published:
    source: str
    split: str
    model: str
    acc_presence: float
    acc_salience: float

    @property
    def score(self) -> float:
        return (self.acc_presence + self.acc_salience) / 2


def read_published_scores() -> tuple[Published, ...]:
    """Published results on BlEmoRE, with where they are from."""
    text = (files("rfe.reporting.report") / "published.csv").read_text(encoding="utf-8")
    return tuple(
        Published(row["source"], row["split"], row["model"], float(row["acc_presence"]), float(row["acc_salience"]))
        for row in csv.DictReader(text.splitlines())
    )


def is_blemore(dataset: Dataset) -> bool:
    """Whether the labelled clips are the BlEmoRE training partition with its official folds."""
    clips = dataset.clips
    if compared_labels(clips.task) != compared_labels(BLEMORE) or clips.task.metric != BLEMORE.metric:
        return False
    sizes = tuple(int(np.sum(clips.fold[: clips.n_source] == fold)) for fold in clips.folds)
    return not dataset.simulated and sizes == BLEMORE_FOLDS


def side_by_side(subjects: Sequence[Subject], title: str) -> ReportSection:
    """One line for each named score of each subject."""
    blocks: list[Block] = []
    prints = {subject.fingerprint for subject in subjects}
    if len(prints) > 1:
        blocks.append(
            Text(
                "These are of different data (fingerprints "
                + ", ".join(sorted(prints))
                + "): their scores stand side by side, but a difference between them says nothing.",
                "caveat",
            )
        )
    rows: list[tuple[Any, ...]] = []
    unit, size = _training_unit(subjects)
    for subject in subjects:
        for one in subject.headlines:
            bounds = one.bounds or (None, None)
            rows.append(
                (
                    subject.name,
                    one.name,
                    STATISTICS[one.name],
                    one.score,
                    *bounds,
                    one.acc_presence,
                    one.acc_salience,
                    subject.data_name,
                    subject.trials,
                    None if subject.seconds is None else subject.seconds / size,
                )
            )
    if len(subjects) > 1:
        blocks += _by_statistic(subjects)
    blocks.append(
        Table(
            "side-by-side",
            "Named scores",
            (
                Column("name"),
                Column("which score"),
                Column("statistic"),
                Column("Score"),
                Column("lower 95%"),
                Column("upper 95%"),
                Column("presence"),
                Column("salience"),
                Column("data"),
                Column("trials"),
                Column(f"training ({unit})", 1),
            ),
            tuple(rows),
            "Compare rows of one statistic only. Differences below .02 on one data set are not evidence.",
        )
    )
    return ReportSection(title, tuple(blocks))


def _by_statistic(subjects: Sequence[Subject]) -> Iterator[Block]:
    """Each subject's scores in columns of one statistic each, and a figure of those that several subjects have."""
    found = {
        statistic: [(subject, one) for subject in subjects if (one := _headline(subject, statistic)) is not None]
        for statistic in COMPARED
    }
    panels = {statistic: rows for statistic, rows in found.items() if len(rows) > 1}
    if panels:
        yield Figure(
            "side-by-side",
            "Scores of the same statistic",
            "; ".join(
                f"{statistic}: " + ", ".join(f"{subject.name} {one.score:.3f}" for subject, one in rows)
                for statistic, rows in panels.items()
            ),
            tuple(_panel(statistic, rows) for statistic, rows in panels.items()),
            "Intervals of single scores are no test of their difference: they are "
            "of the same clips and so move together; `rfe studies diff` compares two trials in pairs.",
        )
    cells = []
    for subject in subjects:
        row: list[Any] = [subject.name, subject.kind]
        for statistic in COMPARED:
            one = _headline(subject, statistic)
            row += [None, None, None] if one is None else [one.score, *(one.bounds or (None, None))]
        cells.append(tuple(row))
    columns = [Column(f"{statistic}{part}") for statistic in COMPARED for part in ("", ", lower 95%", ", upper 95%")]
    yield Table(
        "same-statistic",
        "Compare within a column",
        (Column("name"), Column("kind"), *columns),
        tuple(cells),
        "; ".join(f"{statistic}: {meaning}" for statistic, meaning in COMPARED.items()) + ".",
    )


def _headline(subject: Subject, statistic: str) -> Headline | None:
    return next((one for one in subject.headlines if STATISTICS[one.name] == statistic), None)


def _panel(statistic: str, rows: Sequence[tuple[Subject, Headline]]) -> Panel:
    labels = [f"{subject.name}: {one.name}" for subject, one in rows]
    ends = [one.bounds or (one.score, one.score) for _, one in rows]
    return Panel(
        statistic,
        Axis("Score, with 95% interval where there is one"),
        Axis(categories=tuple(labels)),
        (
            Points(
                "Score",
                [one.score for _, one in rows],
                labels,
                low=[low for low, _ in ends],
                high=[high for _, high in ends],
            ),
        ),
    )


def _training_unit(subjects: Sequence[Subject]) -> tuple[str, int]:
    """(name, seconds) of the largest unit in which no subject's training is next to nothing."""
    shortest = min((subject.seconds for subject in subjects if subject.seconds is not None), default=0.0)
    return ("min", 60) if shortest >= 60 else ("s", 1)


def published_section(subjects: Sequence[Subject], datasets: Sequence[Dataset]) -> ReportSection:
    """Published numbers beside ours where the clips are the same, else the sentence that they are not comparable."""
    title = "Beside published numbers"
    if not datasets or not all(is_blemore(dataset) for dataset in datasets):
        return ReportSection(
            title,
            (
                Text(
                    "Published numbers on BlEmoRE are left out: this is other data, so they would not be comparable.",
                    "caveat",
                ),
            ),
        )
    ours = [
        (f"{subject.name}: {one.name}", one.score, one.acc_presence, one.acc_salience, OURS.get(one.name, one.name))
        for subject in subjects
        for one in subject.headlines
    ]
    theirs = [
        (f"{one.model}, {one.source}", one.score, one.acc_presence, one.acc_salience, PROTOCOLS[one.split])
        for one in read_published_scores()
    ]
    return ReportSection(
        title,
        (
            Text(
                "The same labelled clips and folds, but other encoders and other protocols: published validation "
                "numbers choose thresholds and epoch on the reported fold, and published test numbers are of other "
                "actors. They say where the task stands; they are no comparison of methods.",
                "caveat",
            ),
            Table(
                "published",
                "Our results and published ones",
                (Column("model"), Column("Score"), Column("presence"), Column("salience"), Column("protocol")),
                (*ours, *theirs),
            ),
        ),
    )
