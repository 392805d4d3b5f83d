"""An ablation as the subject of a report: its arms against the base, with intervals, verdicts and interactions."""

from collections.abc import Iterator

from rfe.ablation.compare import TESTED, ArmComparison, describe_verdicts
from rfe.ablation.result import GIVEN, AblationResult, order_rows, read_ablation
from rfe.ablation.study import read_arms
from rfe.journal.study import StudyJournal, read_journal
from rfe.reporting.report.ablation_base import base_section
from rfe.reporting.report.document import (
    Axis,
    Block,
    Colour,
    Column,
    Figure,
    Panel,
    Points,
    ReportSection,
    Rule,
    Table,
    Text,
)
from rfe.reporting.report.runs import training_seconds, what_ran
from rfe.reporting.report.subject import Headline, ReportData, Subject
from rfe.reporting.report.sweeps import sweep_figures
from rfe.reporting.report.trials import all_trials, curve_blocks, scored_trials
from rfe.workspace import StudyFolder

VERDICTS: dict[str, tuple[Colour, str]] = {
    "loss": ("orange", "diamond"),
    "gain": ("green", "square"),
    "no loss": ("blue", "circle"),
    "undecided": ("grey", "circle"),
    "": ("purple", "cross"),
}
NAMES = {"": "described, not tested", "no loss": "no loss (within .01)"}


def ablation_subject(folder: StudyFolder, data: ReportData) -> Subject:
    """Build the report's sections on an ablation.

    Raises:
        StudyError: its files are damaged, or its base has no result.
    """
    journal = read_journal(folder)
    prefix = f"{folder.name}-"
    sections = [what_ran(folder, journal, data)]
    headlines: tuple[Headline, ...] = ()
    if data.dataset is None:
        sections.append(ReportSection("Arms against the base", (Text(data.missing),)))
    else:
        result = read_ablation(folder, data.dataset)
        base = result.rows[0]
        headlines = (
            Headline(
                "base",
                base.score.estimate,
                base.acc_presence.estimate,
                base.acc_salience.estimate,
                base.score.bounds(),
                f"the base of the ablation, {result.n_seeds} seeds that nothing was chosen by",
            ),
        )
        sections.append(ReportSection("Arms against the base", tuple(arm_blocks(result, prefix))))
        curves = tuple(sweep_figures(result.rows, tuple(read_arms(folder).plan.factorial), prefix))
        if curves:
            sections.append(ReportSection("Score along each curve", curves))
        sections.append(base_section(folder, data.dataset, result, prefix))
    sections.append(ReportSection("Learning curves", tuple(curve_blocks(scored_trials(journal), prefix))))
    return Subject(
        folder.name,
        "ablation",
        journal.study.data,
        journal.study.data_fingerprint,
        journal.study.simulated,
        journal.study.caveats,
        headlines,
        tuple(sections),
        len(scored_trials(journal)),
        training_seconds(journal),
        (all_trials(journal, prefix),),
        tuple(_remarks(journal)),
    )


def arm_blocks(result: AblationResult, prefix: str) -> Iterator[Block]:
    """The table of arms, a picture of those that stand alone, interactions."""
    rows = order_rows(result.rows)
    yield Text(describe_verdicts((row.arm.name, row.verdict) for row in rows), "finding")
    arms = [row for row in rows if row.difference is not None and row.arm.family in TESTED]
    if arms:
        yield Figure(
            f"{prefix}arms",
            "Difference of each arm",
            "Differences in Score with 95% intervals: "
            + ", ".join(
                f"{row.arm.name} {row.difference.estimate:+z.3f}" for row in arms if row.difference is not None
            ),
            (
                Panel(
                    "",
                    Axis("difference in Score from the base, with 95% interval"),
                    Axis(categories=tuple(row.arm.name for row in arms)),
                    (Rule("no difference", x=0.0), *_marks(arms)),
                ),
            ),
            f"Paired by clip and seed; {result.n_seeds} seeds, {result.n_clips} clips of {result.n_actors} actors. "
            + GIVEN,
            "large",
        )
    yield Table(
        f"{prefix}arms",
        "Ablation",
        (
            Column("arm"),
            Column("Score"),
            Column("difference", signed=True),
            Column("lower 95%", signed=True),
            Column("upper 95%", signed=True),
            Column("verdict"),
            Column("p (Holm)"),
            Column("probability better", 2),
            Column("presence"),
            Column("salience"),
            Column("kind"),
            Column("what changes"),
        ),
        tuple(_row(row) for row in rows),
        f"Smallest difference that one test would have found four times in five: {result.smallest_detectable:.3f}. No "
        "loss: the 90% interval lies within .01 of 0. Undecided is not no loss. Holm over the tested arms; sweeps, "
        "encoders in order and the cells of a factorial are described, not tested.",
    )
    if result.interactions:
        yield Table(
            f"{prefix}interactions",
            "Interactions: both changed, against the sum of each",
            (
                Column("fields"),
                Column("difference of differences", signed=True),
                Column("lower 95%", signed=True),
                Column("upper 95%", signed=True),
                Column("p (Holm)"),
            ),
            tuple(
                (
                    " x ".join(f"{field} {a} -> {b}" for field, (a, b) in zip(one.fields, one.values, strict=True)),
                    one.interval.estimate,
                    *one.interval.bounds(),
                    one.p_holm,
                )
                for one in result.interactions
            ),
        )
    if result.failed:
        yield Table(
            f"{prefix}failed-arms",
            "Arms without a result",
            (Column("arm"), Column("reason")),
            tuple(result.failed.items()),
        )


def _marks(arms: list[ArmComparison]) -> list[Points]:
    marks = []
    for verdict, (colour, symbol) in VERDICTS.items():
        mine = [row for row in arms if row.verdict == verdict and row.difference is not None]
        intervals = [row.difference for row in mine if row.difference is not None]
        if mine:
            bounds = [one.bounds() for one in intervals]
            marks.append(
                Points(
                    NAMES.get(verdict, verdict),
                    [one.estimate for one in intervals],
                    [row.arm.name for row in mine],
                    colour,
                    symbol,  # type: ignore[arg-type]
                    low=[low for low, _ in bounds],
                    high=[high for _, high in bounds],
                )
            )
    return marks


def _row(row: ArmComparison) -> tuple[object, ...]:
    """What decides first: the rest may lie beyond a narrow page."""
    other = row.difference
    found = (None, None, None) if other is None else (other.estimate, *other.bounds())
    better = None if other is None else other.probability_better
    halves = (row.acc_presence.estimate, row.acc_salience.estimate)
    changes = ", ".join(f"{name}: {value}" for name, value in row.arm.changes.items())
    return (row.arm.name, row.score.estimate, *found, row.verdict, row.p_holm, better, *halves, row.arm.family, changes)


def _remarks(journal: StudyJournal) -> Iterator[str]:
    yield f"{journal.study.study}: {GIVEN}"
