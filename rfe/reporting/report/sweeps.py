"""The curves of an ablation: Score along a sweep, as encoders are added, and across the cells of a factorial."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from rfe.ablation.arms import short_name
from rfe.ablation.compare import ArmComparison
from rfe.reporting.report.document import Axis, Colour, Figure, Line, Panel, Points, Rule

STYLES: tuple[tuple[Colour, Literal["circle", "diamond", "square", "cross"]], ...] = (
    ("blue", "circle"),
    ("orange", "diamond"),
    ("green", "square"),
    ("purple", "cross"),
)
Curves = dict[str, list[ArmComparison]]


def sweep_figures(rows: Sequence[ArmComparison], factorial: Sequence[str], prefix: str) -> Iterator[Figure]:
    """One figure for each field that was swept, for the encoders in order, and for the factorial.

    Args:
        rows: the base first.
        factorial: the two fields that were crossed; empty if none were.
        prefix: of the figures' names.
    """
    base = rows[0].score.estimate
    sweeps: dict[str, Curves] = {}
    for row in rows:
        if row.arm.family == "sweep":
            field = short_name(list(row.arm.changes)[-1])  # what else the arm changes comes first
            curve = row.arm.curve.removeprefix(field).strip() or "all encoders"
            sweeps.setdefault(field, {}).setdefault(curve, []).append(row)
    for field, curves in sweeps.items():
        yield _figure(f"{prefix}sweep-{field.replace(' ', '-').replace('_', '-')}", field, curves, base)
    order = [row for row in rows if row.arm.family == "order"]
    if order:
        yield _figure(f"{prefix}encoders-in-order", "encoders in order", {"encoders in order": order}, base)
    cells = [row for row in rows if row.arm.family == "factorial"]
    if cells and len(factorial) == 2:
        first, second = map(short_name, factorial)
        crossed: Curves = {}
        for row in cells:
            crossed.setdefault(f"{first} {row.arm.cell[0]}", []).append(row)
        yield _figure(f"{prefix}factorial", second, crossed, base, lambda row: str(row.arm.cell[1]))


def _value(row: ArmComparison) -> str:
    return row.arm.name.partition(": ")[2] if row.arm.family == "order" else str(row.arm.value)


def _figure(
    name: str, along: str, curves: Curves, base: float, value: Callable[[ArmComparison], str] = _value
) -> Figure:
    categories = tuple(dict.fromkeys(value(row) for rows in curves.values() for row in rows))
    marks: list[Line | Points] = []
    for (curve, rows), (colour, symbol) in zip(curves.items(), STYLES * len(curves), strict=False):
        x, y = [value(row) for row in rows], [row.score.estimate for row in rows]
        bounds = [row.score.bounds() for row in rows]
        marks.append(Line(curve, x, y, colour, in_legend=False))
        low, high = [one for one, _ in bounds], [one for _, one in bounds]
        marks.append(Points(curve, x, y, colour, symbol, low, high, interval_of="y"))
    said = "; ".join(
        f"{curve}: " + ", ".join(f"{value(row)} {row.score.estimate:.3f}" for row in rows)
        for curve, rows in curves.items()
    )
    return Figure(
        name,
        "Score as encoders are added" if along == "encoders in order" else f"Score along {along}",
        f"Score of each point. {said}.",
        (
            Panel(
                "", Axis(along, categories=categories), Axis("Score, with 95% interval"), (Rule("base", y=base), *marks)
            ),
        ),
        "Described, not tested: the intervals are of each point by itself, over actors and seeds, and move together "
        "from point to point. What two points differ by is in the table.",
    )
