"""Figures: the same marks are drawn by both libraries, and the page's are what Plotly accepts."""

import json
import math

import plotly.graph_objects as go
import pytest

from rfe.reporting.report.colours import DARK, HEAT, HEAT_DARK, LIGHT, dark_of
from rfe.reporting.report.document import Axis, Bars, Figure, Heat, Line, Panel, Points, Rule
from rfe.reporting.report.interactive import plots
from rfe.reporting.report.static import draw

FIGURES = [
    Figure(
        "lines",
        "Lines",
        "",
        (
            Panel(
                "one",
                Axis("x", whole=True),
                Axis("y"),
                (Line("a", [1, 2], [0.1, math.nan]), Rule("mean", y=0.2), Points("p", [1.0], [0.3], labels=["here"])),
            ),
            Panel("two", Axis("x", log=True), Axis("y"), (Points("p", [1e-4, 1e-2], [0.1, 0.2]),)),
        ),
    ),
    Figure(
        "bars", "Bars", "", (Panel("", Axis("s"), Axis(categories=("b", "a")), (Bars("s", ["b", "a"], [0.7, 0.3]),)),)
    ),
    Figure(
        "intervals",
        "Intervals",
        "",
        (
            Panel(
                "", Axis("d"), Axis(categories=("arm", "other")), (Points("d", [0.1], ["arm"], low=[0.0], high=[0.3]),)
            ),
        ),
    ),
    Figure(
        "curve",
        "Curve",
        "",
        (
            Panel(
                "",
                Axis("kept", categories=("1", "2", "all")),
                Axis("Score"),
                (
                    Line("all", ["1", "2", "all"], [0.1, 0.2, 0.3], in_legend=False),
                    Points("all", ["1", "2"], [0.1, 0.2], low=[0.05, 0.1], high=[0.2, 0.4], interval_of="y"),
                ),
            ),
        ),
    ),
    Figure(
        "heat",
        "Heat",
        "",
        (
            Panel(
                "",
                Axis("x", categories=("p", "q")),
                Axis(categories=("r",)),
                (Heat(("r",), ("p", "q"), [[0.2, math.nan]], [["2", ""]], "share"),),
            ),
        ),
    ),
]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_each_mark_is_drawn_by_both(figure: Figure) -> None:
    png, svg = draw(figure)
    assert png.startswith(b"\x89PNG")
    assert b"<svg" in svg
    assert b"http-equiv" not in svg
    made = plots(figure)
    assert len(made) == len(figure.panels)
    for plot, panel in zip(made, figure.panels, strict=True):
        go.Figure(plot)  # refuses what Plotly does not know
        assert len(plot["data"]) == len(panel.marks)
        json.dumps(plot, allow_nan=False)


def test_the_first_named_row_is_at_the_top() -> None:
    axis = plots(FIGURES[1])[0]["layout"]["yaxis"]
    assert axis["range"][0] > axis["range"][1]
    assert axis["categoryarray"] == ["b", "a"]


NAME = "one & <b>two</b> $\\frac{1}$ &lt;"
LITERAL = "one &amp; &lt;b&gt;two&lt;/b&gt; $\\frac{1}$ &amp;lt;"


def test_names_are_shown_as_they_are() -> None:
    """Plotly reads tags and entities, matplotlib formulas: one with an error would be the end of the report."""
    named = Axis(NAME, categories=(NAME,))
    points = Points(NAME, [1.0], [NAME], labels=[NAME])
    heat = Heat((NAME,), (NAME,), [[0.5]], [[NAME]], NAME)
    panels = (
        Panel(NAME, Axis(NAME), named, (points, Bars(NAME, [NAME], [0.5]), Rule(NAME, x=0.5))),
        Panel(NAME, named, named, (heat,)),
        Panel(NAME, named, Axis(NAME), (Line(NAME, [NAME], [0.5]),)),
    )
    figure = Figure("names", NAME, "", panels)
    assert b"<svg" in draw(figure)[1]
    for plot in plots(figure):
        text = json.dumps(plot).replace(json.dumps(LITERAL)[1:-1], "")
        assert "two" not in text
    drawn = plots(figure)[0]
    assert drawn["data"][0]["y"] == drawn["layout"]["yaxis"]["categoryarray"] == [LITERAL]
    assert drawn["data"][0]["hovertemplate"].endswith("<extra></extra>")


@pytest.mark.parametrize(
    ("places", "step"), [([3], 1), ([2, 3, 4], 1), ([1, 8], 1), ([1, 9], 2), ([1, 60], 10), ([0, 400], 100)]
)
def test_whole_numbers_have_ticks_at_whole_numbers(places: list[int], step: int) -> None:
    panel = Panel("", Axis("n", whole=True), Axis("y"), (Points("p", places, [0.1] * len(places)), Rule("r", x=0.5)))
    axis = plots(Figure("whole", "", "", (panel,)))[0]["layout"]["xaxis"]
    assert (axis["tick0"], axis["dtick"]) == (0, step)


def _luminance(colour: str) -> float:
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colours_stand_out_on_both_pages() -> None:
    assert all(_contrast(colour, "#ffffff") >= 3 for colour in LIGHT.values())
    assert all(_contrast(colour, "#16181c") >= 3 for colour in DARK.values())
    for heat, order in ((HEAT, -1), (HEAT_DARK, 1)):  # survive grey print
        light = [_luminance(colour) for colour in heat]
        assert light == sorted(light, reverse=order < 0)
    assert len(dark_of()) == len(LIGHT) + len(HEAT) + 1
