"""Which parameters of a search mattered, how Score falls along each, and whether the best sit on a bound."""

import math
from collections.abc import Iterator, Sequence

from rfe.errors import StudyError
from rfe.reporting.report.document import Axis, Bars, Block, Column, Figure, Panel, Points, Table, Text
from rfe.search_space.dimensions import POOL_PREFIX, Dimension, Value
from rfe.study.bounds import FEWEST_TRIALS, TOP_SHARE, BoundHit, find_bound_hits
from rfe.study.definition import StudyDefinition
from rfe.study.importance import Importance, Point, measure_importance

MOST_BARS = 20
KEPT_ALL = ' A trial whose model.n_kept is "all" stands at the number of encoders in its pool.'


def importance_blocks(definition: StudyDefinition, points: Sequence[Point], prefix: str) -> Iterator[Block]:
    """Both evaluators side by side."""
    try:
        both = measure_importance(definition, points)
    except StudyError as error:
        yield Text(f"Not shown: {error}.")
        return
    yield Text(
        "Two evaluators of Optuna, which answer different questions and may well rank differently: "
        + " ".join(f"{one.evaluator}: {one.question}" for one in both)
        + f" From {_from(both)}; with few trials, or a sampler that soon looked in one region only, neither is more "
        "than a hint."
    )
    yield Figure(
        f"{prefix}importance",
        "Importance of the parameters",
        "Bars of the share of importance: "
        + "; ".join(f"{one.evaluator} ranks {', '.join(list(one.shares)[:3])} first" for one in both),
        tuple(_bars(one) for one in both),
    )
    names = list(dict.fromkeys(name for one in both for name in one.shares))
    yield Table(
        f"{prefix}importance",
        "Importance of the parameters",
        (Column("parameter"), *(Column(one.evaluator) for one in both)),
        tuple((name, *(one.shares.get(name) for one in both)) for name in names),
        "Shares of each evaluator sum to 1.",
    )


def _from(both: Sequence[Importance]) -> str:
    most = max(one.n_trials for one in both)
    fewer = [f" ({one.evaluator}: {one.n_trials} of them, spread evenly)" for one in both if one.n_trials < most]
    return f"{most} trials{''.join(fewer)}"


def _bars(one: Importance) -> Panel:
    top = list(one.shares.items())[:MOST_BARS]
    labels = [name for name, _ in top]
    return Panel(
        one.evaluator,
        Axis("share of importance"),
        Axis(categories=tuple(labels)),
        (Bars(one.evaluator, labels, [share for _, share in top]),),
    )


def slice_blocks(definition: StudyDefinition, points: Sequence[Point], prefix: str) -> Iterator[Block]:
    """Score against each parameter, the best tenth marked, and whether the best sit on a bound."""
    if len(points) < 3:
        yield Text("Not shown: the study has fewer than three different scored trials.")
        return
    yield from _bounds(find_bound_hits(definition.resolved, points), len(points))
    n_best = max(3, math.ceil(TOP_SHARE * len(points)))
    best = {p.number for p in sorted(points, key=lambda p: (-p.score, p.number))[:n_best]}
    dimensions = [one for one in definition.resolved.dimensions if not one.name.startswith(POOL_PREFIX)]
    panels = [panel for one in dimensions if (panel := _slice(one, points, best)) is not None]
    if panels:
        yield Figure(
            f"{prefix}slices",
            "Trials by the value of each parameter",
            f"One panel for each of {len(panels)} parameters: Score of every trial in which it counted, against its "
            f"value; the best {n_best} trials are marked.",
            tuple(panels),
            f"Diamonds: the best {n_best} trials. A panel shows a trial only where the parameter had an effect. "
            "The sampler looks more often where it found good trials, and parameters move together: a slope is no "
            "effect." + (KEPT_ALL if any(panel.title == "model.n_kept" and panel.x.whole for panel in panels) else ""),
            "small",
        )


def _bounds(hits: Sequence[BoundHit], n_points: int) -> Iterator[Block]:
    if n_points < FEWEST_TRIALS:
        yield Text(
            f"Whether the optimum sits on a bound of the space cannot be told from {n_points} trials; it takes "
            f"{FEWEST_TRIALS}."
        )
    elif not hits:
        yield Text("The best tenth of trials sits at no bound of an `int` or `float` range: the space was wide enough.")
    for hit in hits:
        found = f"{hit.n_at} of the {hit.n_best} best trials sit at the {hit.side} bound of {hit.name} ({hit.bound:g})"
        if hit.natural:
            yield Text(f"{found}, where the field itself ends: consider fixing it there.", "finding")
        else:
            way = "above" if hit.side == "upper" else "below"
            yield Text(
                f"{found}: the space was too small there; search {way} it as well before believing the optimum.",
                "finding",
            )


def _slice(dimension: Dimension, points: Sequence[Point], best: set[int]) -> Panel | None:
    mine = [point for point in points if dimension.name in point.counted]
    if len({point.counted[dimension.name] for point in mine}) < 2:
        return None

    def place(value: Value) -> Value:
        return _choice(value) if dimension.kind == "choice" else value

    def marks(name: str, chosen: list[Point], colour: str, symbol: str) -> Points:
        return Points(
            name,
            [place(point.counted[dimension.name]) for point in chosen],
            [point.score for point in chosen],
            colour,  # type: ignore[arg-type]
            symbol,  # type: ignore[arg-type]
            labels=[f"trial {point.number}" for point in chosen],
        )

    categories = tuple(_choice(one) for one in dimension.choices) if dimension.kind == "choice" else ()
    return Panel(
        dimension.name,
        Axis("", log=dimension.log, whole=dimension.kind == "int", categories=categories),
        Axis("Score"),
        (
            marks("other trials", [p for p in mine if p.number not in best], "grey", "circle"),
            marks("best trials", [p for p in mine if p.number in best], "blue", "diamond"),
        ),
    )


def _choice(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
