"""Tables and figures of what one configuration answers: confusion, classes, actors, calibration, gate."""

from collections.abc import Iterator

import numpy as np

from rfe.data.corruption import wrong_features
from rfe.ensemble.candidates import Candidate
from rfe.errors import StudyError
from rfe.reporting.report.answers import (
    Answers,
    measure_actors,
    measure_confusion,
    measure_recalls,
    read_study_answers,
)
from rfe.reporting.report.calibration import calibration_blocks, candidate_states
from rfe.reporting.report.document import (
    Axis,
    Block,
    Column,
    Figure,
    Heat,
    Panel,
    Points,
    ReportSection,
    Rule,
    Table,
    Text,
)
from rfe.reporting.report.gates import gate_blocks, noticed_blocks, read_gate
from rfe.reporting.report.subject import ReportData
from rfe.tracking.contents import MOST_SETS, OTHERS, group_rare
from rfe.tracking.figures import MOST_NUMBERS, say_clips

CHOSEN = (
    " The configuration was chosen by the same clips, so levels are optimistic; the shape of the errors is what to "
    "look at."
)


def model_section(candidate: Candidate, data: ReportData, prefix: str, which: str, *, chosen: bool) -> ReportSection:
    """How a configuration answers, from its out-of-fold outputs.

    Args:
        candidate: the configuration.
        data: of its study.
        prefix: of the names of tables and figures.
        which: the configuration in words, e.g. `trial 12, confirmed`.
        chosen: whether it is the best of several.
    """
    title = f"How {which} answers"
    if data.dataset is None:
        return ReportSection(title, (Text(data.missing),))
    try:
        answers = read_study_answers(candidate, data.dataset)
    except StudyError as error:
        return ReportSection(title, (Text(f"Not shown: {error}"),))
    dataset = data.dataset

    def calibration() -> Iterator[Block]:
        yield from calibration_blocks(candidate_states(candidate, dataset), answers, prefix)

    def gate() -> Iterator[Block]:
        outputs, configs = read_gate(candidate), [candidate.config]
        yield from gate_blocks(outputs, configs, answers, prefix)
        if (wrong := wrong_features(dataset)) is not None:
            yield from noticed_blocks(outputs, wrong[: dataset.clips.n_source], configs, prefix)

    return answer_section(
        title,
        answers,
        "All of this is out of fold: each clip is answered by a model that did not train on its actor."
        + (CHOSEN if chosen else ""),
        prefix,
        (
            ReportSection("Calibration", tuple(guarded(calibration()))),
            ReportSection("What the gate kept", tuple(guarded(gate()))),
        ),
    )


def answer_section(
    title: str, answers: Answers, lead: str, prefix: str, sections: tuple[ReportSection, ...]
) -> ReportSection:
    """Out-of-fold answers from several sides.

    Args:
        title: of the section.
        answers: of a configuration, an ensemble, an arm.
        lead: what a reader must know of them first.
        prefix: of the names of tables and figures.
        sections: further ones, within it.
    """
    seeds = len(answers.predicted)
    blocks = (
        Text(lead + ("" if seeds == 1 else f" Means over {seeds} seeds.")),
        *confusion_blocks(answers, prefix),
        *class_blocks(answers, prefix),
        *actor_blocks(answers, prefix),
    )
    return ReportSection(title, blocks, sections)


def guarded(blocks: Iterator[Block]) -> Iterator[Block]:
    """The blocks; where what they need was not kept, a sentence."""
    try:
        yield from blocks
    except StudyError as error:
        yield Text(f"Not shown: {error}.")


def confusion_blocks(answers: Answers, prefix: str) -> Iterator[Block]:
    """The table of sets by sets as a picture, and the commonest errors."""
    task, confusion = answers.task, measure_confusion(answers)
    right = float(np.trace(confusion.counts) / confusion.counts.sum())
    shared = confusion.wrong_blends_sharing
    blend = task.state_is_blend[answers.truth]
    answered = float((answers.predicted >= task.n_classes).mean())
    words = f"{right:.0%} of sets are right."
    if task.pairs:
        words += f" Blends are {blend.mean():.0%} of the clips and {answered:.0%} of the answers."
    if shared == shared:
        words += f" Of the blends that are answered wrongly, {shared:.0%} are answered with one of their classes."
    yield Text(words, "finding")
    names, counts = group_rare(task, confusion.counts)
    share = counts / np.where(counts.sum(1, keepdims=True) > 0, counts.sum(1, keepdims=True), np.nan)
    size = f"{len(names)} by {len(names)}"
    seeds = len(answers.predicted)
    means = "" if seeds == 1 else f" (means over {seeds} seeds)"
    yield Figure(
        f"{prefix}confusion",
        "Confusion by set",
        f"Heat map of the true set (rows) against the answered set (columns), {size}; {right:.0%} of the clips lie "
        "on the diagonal.",
        (
            Panel(
                "",
                Axis("answered set", categories=names),
                Axis("true set", categories=names),
                (
                    Heat(
                        names,
                        names,
                        share.tolist(),
                        [[say_clips(count) if len(names) <= MOST_NUMBERS else "" for count in row] for row in counts],
                        "share of the true set's clips",
                        max(0.5, float(np.nanmax(share))),
                    ),
                ),
            ),
        ),
        (f"Numbers are clips{means}, colours" if len(names) <= MOST_NUMBERS else "Colours")
        + " are shares of the true set's clips."
        + (f" {OTHERS}: the {task.n_sets - MOST_SETS} rarer sets." if OTHERS in names else ""),
        "large",
    )
    yield Table(
        f"{prefix}errors",
        "Commonest errors",
        (
            Column("truth"),
            Column("answer"),
            Column("clips", 1),
            Column("of the truth's clips", 2),
            Column("shares a class"),
        ),
        tuple(confusion.commonest()),
    )


def class_blocks(answers: Answers, prefix: str) -> Iterator[Block]:
    """Recall of each class with its interval over actors."""
    recalls = measure_recalls(answers)
    names = [one.name for one in recalls]
    bounds = [one.recall.bounds() for one in recalls]
    yield Figure(
        f"{prefix}classes",
        "Recall by class",
        "Dots with intervals: "
        + ", ".join(f"{name} {one.recall.estimate:.2f}" for name, one in zip(names, recalls, strict=True)),
        (
            Panel(
                "",
                Axis("recall, with 95% interval over actors", range=(0, 1)),
                Axis(categories=tuple(names)),
                (
                    Points(
                        "recall",
                        [one.recall.estimate for one in recalls],
                        names,
                        low=[_finite(low, one.recall.estimate) for (low, _), one in zip(bounds, recalls, strict=True)],
                        high=[_finite(top, one.recall.estimate) for (_, top), one in zip(bounds, recalls, strict=True)],
                    ),
                    Points("precision", [one.precision for one in recalls], names, "orange", "diamond"),
                ),
            ),
        ),
        "Recall: of the clips that show the class, alone or in a blend, how many answers name it. Precision: of the "
        "answers that name it, how many are right to.",
    )
    yield Table(
        f"{prefix}classes",
        "Recall by class",
        (
            Column("class"),
            Column("clips"),
            Column("recall"),
            Column("lower 95%"),
            Column("upper 95%"),
            Column("precision"),
        ),
        tuple(
            (name, one.clips, one.recall.estimate, low, top, one.precision)
            for name, one, (low, top) in zip(names, recalls, bounds, strict=True)
        ),
        " ".join(dict.fromkeys(f"{note}." for one in recalls for note in one.recall.notes)),
    )


def actor_blocks(answers: Answers, prefix: str) -> Iterator[Block]:
    """Each actor's Score, sorted, with the mean."""
    actors = measure_actors(answers)
    if len(actors) < 2:
        yield Text("Spread over actors is not shown: the data does not say which actor a clip is of, or has too few.")
        return
    scores = np.array([one.score for one in actors])
    yield Text(
        f"Actors differ: from {scores[0]:.2f} ({actors[0].actor}) to {scores[-1]:.2f} ({actors[-1].actor}), standard "
        f"deviation {scores.std(ddof=1):.3f} over {len(actors)} actors. This is why intervals are over actors.",
        "finding",
    )
    rank, names = list(range(1, len(actors) + 1)), [one.actor for one in actors]
    shares = [one.acc_salience for one in actors if one.acc_salience is not None]
    salience = (Points("salience", rank, shares, "green", "square", labels=names),) if shares else ()
    yield Figure(
        f"{prefix}actors",
        "Score of each actor",
        f"{len(actors)} actors in the order of their Score, from {scores[0]:.2f} to {scores[-1]:.2f}, mean "
        f"{scores.mean():.2f}.",
        (
            Panel(
                "",
                Axis("actors, the lowest Score first", whole=True),
                Axis("Score of the actor's clips"),
                (
                    Rule(f"mean {scores.mean():.3f}", y=float(scores.mean())),
                    Points(
                        "presence",
                        rank,
                        [one.acc_presence for one in actors],
                        "orange",
                        "diamond",
                        labels=[one.actor for one in actors],
                    ),
                    *salience,
                    Points("Score", rank, scores.tolist(), labels=[one.actor for one in actors]),
                ),
            ),
        ),
    )
    yield Table(
        f"{prefix}actors",
        "Score of each actor",
        (Column("actor"), Column("fold"), Column("clips"), Column("Score"), Column("presence"), Column("salience")),
        tuple((one.actor, one.fold, one.clips, one.score, one.acc_presence, one.acc_salience) for one in actors),
    )


def _finite(value: float, otherwise: float) -> float:
    return value if np.isfinite(value) else otherwise
