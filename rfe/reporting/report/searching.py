"""Tables and figures of a search: how it went, what mattered, how Score falls along each parameter, where it ended."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rfe.data.dataset import Dataset
from rfe.errors import StudyError
from rfe.journal.events import TrialLog
from rfe.journal.study import StudyJournal
from rfe.reporting.report.document import (
    Axis,
    Block,
    Column,
    Figure,
    Line,
    Mark,
    Panel,
    Points,
    ReportSection,
    Table,
    Text,
)
from rfe.reporting.report.parameters import importance_blocks, slice_blocks
from rfe.reporting.report.subject import ReportData
from rfe.reporting.report.trials import scored_trials
from rfe.search.outcome import single_scores, trial_table
from rfe.search_space.dimensions import ARM
from rfe.study import pareto_front, score_selected
from rfe.study.bounds import TOP_SHARE
from rfe.study.definition import StudyDefinition
from rfe.study.gain import search_gain
from rfe.study.importance import scored_points
from rfe.study.trials import TrialRow

SELECTED_AT = 40
"""At so many moments of the search the selected score is worked out."""


def search_section(
    journal: StudyJournal, definition: StudyDefinition, rows: Sequence[TrialRow], data: ReportData, prefix: str
) -> ReportSection:
    """The search of a study.

    Args:
        journal: of the study.
        definition: of the study.
        rows: its trials with their parameters.
        data: of the study.
        prefix: of the names of tables and figures.
    """
    trials = scored_trials(journal)
    if len(trials) < 2:
        return ReportSection(
            "The search", (Text("The study has fewer than two scored trials: there is no search to be looked at."),)
        )
    blocks = list(convergence_blocks(trials, data.dataset, prefix))
    if definition.space.sampler.kind != "grid":
        gain = search_gain(single_scores(trials), {row.number: row.origin for row in rows})
        said = gain.sentences() if gain is not None else ()
        blocks += [Text(f"{sentence[0].upper()}{sentence[1:]}.", "finding") for sentence in said]
    if any(dimension.name == ARM for dimension in definition.resolved.dimensions):
        return ReportSection("The search", tuple(blocks))
    scores = {trial.number: float(trial.scores["score"]) for trial in trials}
    points = scored_points(definition, rows, scores)
    return ReportSection(
        "The search",
        tuple(blocks),
        (
            ReportSection("Which parameters mattered", tuple(importance_blocks(definition, points, prefix))),
            ReportSection("Score along each parameter", tuple(slice_blocks(definition, points, prefix))),
            ReportSection("Presence against salience", tuple(front_blocks(trials, prefix))),
            ReportSection("Which encoders the search took", tuple(encoder_blocks(trials, definition, prefix))),
        ),
    )


def convergence_blocks(trials: Sequence[TrialLog], dataset: Dataset | None, prefix: str) -> Iterator[Block]:
    """Score of each trial as it ended, the best so far, and what would have been selected by then."""
    ordered = sorted(trials, key=lambda log: (log.time, log.number))
    scores = [float(log.scores["score"]) for log in ordered]
    ended = list(range(1, len(ordered) + 1))
    best = np.maximum.accumulate(scores)
    last_gain = int(np.flatnonzero(np.diff(best, prepend=-1) > 0)[-1]) + 1
    marks: list[Mark] = [
        Points("a trial", ended, scores, "grey", labels=[f"trial {log.number}" for log in ordered]),
        Line("best so far (optimistic)", ended, best.tolist(), "orange", "dash", steps=True),
    ]
    selected = _selected_so_far(ordered, dataset) if dataset is not None else []
    if selected:
        marks.append(Line("selected so far", [n for n, _ in selected], [score for _, score in selected], "blue"))
    yield Text(f"The last better trial was number {last_gain} of {len(ordered)} to end.", "finding")
    yield Figure(
        f"{prefix}convergence",
        "Convergence",
        f"Score of {len(ordered)} trials in the order in which they ended; the best so far rises to {best[-1]:.3f}.",
        (Panel("", Axis("trials ended", whole=True), Axis("Score"), tuple(marks)),),
        "Selected: each fold is answered by the trial that is best on the other folds, of those that had ended by "
        "then. The best so far can only rise, also by luck.",
    )


def _selected_so_far(ordered: Sequence[TrialLog], dataset: Dataset) -> list[tuple[int, float]]:
    if len(ordered) < 2 or len(dataset.clips.folds) < 2:
        return []
    table = trial_table(ordered, dataset)
    moments = sorted({round(n) for n in np.linspace(2, len(ordered), SELECTED_AT)})
    try:
        return [(n, score_selected(table.first(n)).score) for n in moments]
    except StudyError:  # the other folds of one hold no blend
        return []


def front_blocks(trials: Sequence[TrialLog], prefix: str) -> Iterator[Block]:
    """Presence against salience accuracy, with the Pareto front."""
    halves = {
        log.number: (log.scores["acc_presence"], log.scores["acc_salience"])
        for log in trials
        if {"acc_presence", "acc_salience"} <= log.scores.keys()
    }
    if len(halves) < 2:
        yield Text("Not shown: the trials did not log presence and salience apart.")
        return
    front = pareto_front(halves)
    rest = [number for number in halves if number not in front]
    yield Figure(
        f"{prefix}pareto",
        "Pareto front of presence and salience",
        f"{len(halves)} trials by their accuracy of presence and of salience; {len(front)} of them are on the front.",
        (
            Panel(
                "",
                Axis("accuracy of presence"),
                Axis("accuracy of salience"),
                (
                    Points("other trials", *_columns(halves, rest), "grey", labels=[f"trial {n}" for n in rest]),
                    Line("front", *_columns(halves, front), "blue", "dot"),
                    Points(
                        "Pareto front", *_columns(halves, front), labels=[f"trial {n}" for n in front], symbol="diamond"
                    ),
                ),
            ),
        ),
        "On the front: no other trial is better in both. Optimistic like all scores of single trials.",
    )
    yield Table(
        f"{prefix}pareto",
        "Pareto front",
        (Column("trial"), Column("presence"), Column("salience"), Column("Score")),
        tuple((number, *map(float, halves[number]), float(sum(halves[number]) / 2)) for number in front),
    )


def _columns(halves: Mapping[int, tuple[float, float]], numbers: Sequence[int]) -> tuple[list[float], list[float]]:
    return [halves[n][0] for n in numbers], [halves[n][1] for n in numbers]


def encoder_blocks(trials: Sequence[TrialLog], definition: StudyDefinition, prefix: str) -> Iterator[Block]:
    """How often each encoder was in the pool, and how often the gate kept it there; over all trials and the best."""
    n_best = max(1, math.ceil(TOP_SHARE * len(trials)))
    best = sorted(trials, key=lambda log: (-float(log.scores["score"]), log.number))[:n_best]

    def pooled(log: TrialLog, encoder: str) -> bool:
        pool = log.config.get("pool", "all")
        return pool == "all" or encoder in pool

    def kept(logs: Sequence[TrialLog], encoder: str) -> float | None:
        shares = [log.kept_frequency[encoder] for log in logs if encoder in log.kept_frequency]
        return float(np.mean(shares)) if shares else None

    yield Table(
        f"{prefix}encoders",
        "Encoders in pools, and kept by the gate",
        (
            Column("encoder"),
            Column("in the pool, all trials", 2),
            Column("in the pool, best tenth", 2),
            Column("kept there, all trials", 2),
            Column("kept there, best tenth", 2),
        ),
        tuple(
            (
                encoder,
                float(np.mean([pooled(log, encoder) for log in trials])),
                float(np.mean([pooled(log, encoder) for log in best])),
                kept(trials, encoder),
                kept(best, encoder),
            )
            for encoder in definition.resolved.encoders
        ),
        f"Best tenth: {n_best} of {len(trials)} trials. Kept: share of held-out clips in which the gate kept the "
        "encoder, over the trials that had it in their pool.",
    )
