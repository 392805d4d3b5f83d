"""Arms against their base: paired differences, corrected for how many were looked at, and what may be said of them.

The interval takes the training sets as given: another draw of training actors would move base and arms alike.
Sources: Holm, Scandinavian Journal of Statistics 1979; the rest in `rfe.metrics.intervals`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from statsmodels.stats.multitest import multipletests

from rfe.ablation.arms import BASE, Arm
from rfe.metrics.intervals import InfluenceTable, Interval, difference_interval, score_interval

ALPHA = 0.05
NO_LOSS = 0.01
"""An arm is called "no loss" only where its 90% interval lies within this distance of 0."""
TESTED = ("component", "control", "encoder", "custom")
"""Families that are tested together; sweeps, encoders added in order and factorial cells are described."""
Verdict = Literal["base", "loss", "gain", "no loss", "undecided", ""]


@dataclass(frozen=True)
class ArmComparison:
    """One row of an ablation's table."""

    arm: Arm
    score: Interval
    acc_presence: Interval
    acc_salience: Interval
    difference: Interval | None
    """Score, arm minus base, paired by clip and seed; None of the base."""
    difference_presence: Interval | None
    difference_salience: Interval | None
    p_holm: float | None
    """Holm-adjusted over the tested arms of the plan; None of the others."""
    verdict: Verdict
    """`loss` and `gain`: different from the base. "" where nothing was tested."""


@dataclass(frozen=True)
class Interaction:
    """How much one field's effect depends on another's: a difference of differences."""

    fields: tuple[str, str]
    values: tuple[tuple[Any, Any], tuple[Any, Any]]
    """((first field's reference, other), (second field's reference, other))."""
    interval: Interval
    """(other, other) - (other, reference) - (reference, other) + (reference, reference), in Score."""
    p_holm: float | None = None
    """Holm-adjusted over the plan's interactions."""


def compare_arms(tables: Mapping[str, InfluenceTable], arms: Sequence[Arm]) -> tuple[ArmComparison, ...]:
    """Compare every arm that has a table with the base.

    Args:
        tables: arm's name -> its hits; needs the base's.
        arms: in the order of the result.
    """
    base = tables[BASE]
    differences = {
        arm.name: difference_interval(tables[arm.name], base) for arm in arms if arm.name in tables and arm.name != BASE
    }
    tested = [arm.name for arm in arms if arm.family in TESTED and arm.name in differences]
    adjusted = dict(zip(tested, adjust([differences[name].p_value for name in tested]), strict=True))
    rows = []
    for arm in arms:
        if arm.name not in tables:
            continue
        table, p_holm = tables[arm.name], adjusted.get(arm.name)
        other = None if arm.name == BASE else base
        rows.append(
            ArmComparison(
                arm,
                score_interval(table),
                score_interval(table, "acc_presence"),
                score_interval(table, "acc_salience"),
                differences.get(arm.name),
                None if other is None else difference_interval(table, other, "acc_presence"),
                None if other is None else difference_interval(table, other, "acc_salience"),
                p_holm,
                "base" if other is None else judge(differences[arm.name], p_holm),
            )
        )
    return tuple(rows)


def adjust(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p-values of one family of tests; what could not be tested stays None and does not count."""
    known = [p for p in p_values if p is not None and np.isfinite(p)]
    adjusted = iter(multipletests(known, method="holm")[1].tolist() if known else [])
    return [next(adjusted) if p is not None and np.isfinite(p) else None for p in p_values]


def judge(difference: Interval, p_holm: float | None) -> Verdict:
    """What may be said of a difference."""
    if p_holm is None:
        return ""
    if p_holm < ALPHA:
        return "gain" if difference.estimate > 0 else "loss"
    lower, upper = difference.bounds(0.9)
    return "no loss" if lower >= -NO_LOSS and upper <= NO_LOSS else "undecided"


def describe_verdicts(verdicts: Iterable[tuple[str, Verdict]]) -> str:
    """What helped and what did not, in a sentence.

    Args:
        verdicts: (arm's name, its verdict), in the order in which they are to be named.
    """
    named: dict[Verdict, list[str]] = {}
    for name, verdict in verdicts:
        named.setdefault(verdict, []).append(name)
    said = [
        f"{words}: {', '.join(named[verdict])}"
        for verdict, words in (
            ("loss", "worse than the base"),
            ("gain", "better than the base"),
            ("no loss", "no loss"),
        )
        if verdict in named
    ]
    if undecided := len(named.get("undecided", ())):
        said.append(f"undecided: {undecided} arm{'s' * (undecided != 1)}")
    sentence = "; ".join(said) or "no arm was tested"
    return f"{sentence[0].upper()}{sentence[1:]}."


def interactions(
    tables: Mapping[str, InfluenceTable], arms: Sequence[Arm], fields: tuple[str, str]
) -> tuple[Interaction, ...]:
    """Every interaction of a factorial with its first cell as the reference.

    Args:
        tables: arm's name -> its hits.
        arms: the plan's; those of the family `factorial` count.
        fields: the two that were crossed.
    """
    cells = {arm.cell: tables[arm.name] for arm in arms if arm.family == "factorial" and arm.name in tables}
    if not cells:
        return ()
    firsts = list(dict.fromkeys(cell[0] for cell in cells))
    seconds = list(dict.fromkeys(cell[1] for cell in cells))
    found = []
    for one in firsts[1:]:
        for two in seconds[1:]:
            corners = [(one, two), (one, seconds[0]), (firsts[0], two), (firsts[0], seconds[0])]
            if all(corner in cells for corner in corners):
                a, b, c, d = (cells[corner] for corner in corners)
                # the difference of two tables of differences is again a table of paired differences
                interval = difference_interval(a.minus(b), c.minus(d))
                found.append(Interaction(fields, ((firsts[0], one), (seconds[0], two)), interval))
    adjusted = adjust([one.interval.p_value for one in found])
    return tuple(replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True))


def smallest_detectable(rows: Sequence[ArmComparison]) -> float:
    """The difference that a test of one arm at 5% would have found four times in five: the median over arms."""
    values = [row.difference.smallest_detectable for row in rows if row.difference is not None]
    finite = [value for value in values if np.isfinite(value) and value > 0]
    return float(np.median(finite)) if finite else float("nan")


def row_dict(row: ArmComparison) -> dict[str, Any]:
    """JSON-ready."""
    plain: dict[str, Any] = {
        "arm": row.arm.name,
        "family": row.arm.family,
        "changes": dict(row.arm.changes),
        "curve": row.arm.curve,
        "value": row.arm.value,
        "p_holm": row.p_holm,
        "verdict": row.verdict,
    }
    for name in ("score", "acc_presence", "acc_salience", "difference", "difference_presence", "difference_salience"):
        interval: Interval | None = getattr(row, name)
        plain[name] = None if interval is None else interval.to_dict()
    return plain
