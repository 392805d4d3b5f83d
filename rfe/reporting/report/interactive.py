"""Figures as Plotly has them: one plot for each panel, in the light colours; the page makes them dark.

Plotly reads tags and entities in any text; here names are all that text is, so it is escaped before anything is built.
"""

import html
import math
from collections.abc import Sequence
from typing import Any

from rfe.reporting.report.colours import HEAT, INK, LIGHT
from rfe.reporting.report.document import Bars, Figure, Heat, Line, Panel, Points, Rule, change_text
from rfe.tracking.figures import MOST_NUMBERS

GRID = "#76767640"
DASHES = {"solid": "solid", "dash": "dash", "dot": "dot"}
SYMBOLS = {"circle": "circle", "diamond": "diamond", "square": "square", "cross": "x"}
HEIGHTS = {"small": 260, "normal": 380, "large": 600}
ROW = 30
"""Pixels for each named row."""
NARROW_ROW = 13
"""Of a heat map with many rows."""
MOST_STEPS = 7
"""Between the ticks of an axis of whole numbers."""


def plots(figure: Figure) -> list[dict[str, Any]]:
    """One plot (data, layout) for each panel."""
    return [_plot(change_text(panel, _literal), figure) for panel in figure.panels]


def _literal(text: str) -> str:
    return html.escape(text, quote=False)


def _plot(panel: Panel, figure: Figure) -> dict[str, Any]:
    data: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    for mark in panel.marks:
        if isinstance(mark, Rule):
            shapes.append(_rule(mark))
        data.append(_trace(mark, panel))
    named = [one for one in data if one.get("showlegend", True)]
    several = len(named) > 1 and figure.size != "small"
    top = (28 if panel.title else 8) + (24 if several else 0)
    layout: dict[str, Any] = {
        "height": _height(panel, figure.size, several),
        "margin": {"l": 12, "r": 12, "t": top, "b": 12},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": INK, "size": 13, "family": "system-ui, sans-serif"},
        "showlegend": several,
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "xanchor": "left"},
        "hovermode": "closest",
        "xaxis": _axis(panel, along_x=True),
        "yaxis": _axis(panel, along_x=False),
        "shapes": shapes,
        "bargap": 0.35,
    }
    bars = [value for mark in panel.marks if isinstance(mark, Bars) for value in mark.values]
    if bars:  # the numbers stand beyond the bars
        layout["xaxis"]["range"] = [0, 1.05 * max(*bars, 1e-9)]
        layout["margin"]["r"] = 44
    if panel.title:
        layout["title"] = {
            "text": panel.title,
            "font": {"size": 14},
            "x": 0.02,
            "xanchor": "left",
            "y": 0.99,
            "yanchor": "top",
        }
    return {"data": data, "layout": layout}


def _height(panel: Panel, size: str, several: bool) -> int:
    if not panel.y.categories:
        return HEIGHTS[size]
    heat = any(isinstance(mark, Heat) for mark in panel.marks)
    row = NARROW_ROW if heat and len(panel.y.categories) > MOST_NUMBERS else ROW
    return max(170, row * len(panel.y.categories) + 100 + (40 if several else 0))


def _axis(panel: Panel, *, along_x: bool) -> dict[str, Any]:
    axis = panel.x if along_x else panel.y
    settings: dict[str, Any] = {
        "title": {"text": axis.title, "standoff": 8},
        "automargin": True,
        "gridcolor": GRID,
        "linecolor": GRID,
        "zeroline": False,
        "fixedrange": False,
    }
    if axis.categories:
        # names may look like numbers or dates; they are none
        settings |= {"type": "category", "categoryorder": "array", "categoryarray": list(axis.categories)}
        settings["range"] = [-0.6, len(axis.categories) - 0.4]
        if not along_x:
            settings["range"] = settings["range"][::-1]
            settings["tickfont"] = {"size": 12}
        if len(axis.categories) > MOST_NUMBERS and any(isinstance(mark, Heat) for mark in panel.marks):
            settings["tickfont"] = {"size": 8}
        settings["tickmode"] = "array"
        settings["tickvals"] = list(axis.categories)
    elif axis.log:
        settings |= {"type": "log", "dtick": 1, "exponentformat": "power"}
    if axis.range:
        room = 0.03 * (axis.range[1] - axis.range[0])
        settings["range"] = [axis.range[0] - room, axis.range[1] + room]
    if axis.whole:
        settings["tickformat"] = "d"
        if not axis.log:
            settings |= {"tick0": 0, "dtick": _whole_step(panel, along_x=along_x)}
    return settings


def _whole_step(panel: Panel, *, along_x: bool) -> int:
    """1, 2, 5, 10, 20 ... between ticks: left alone, Plotly sets some at halves and rounds what it writes there."""
    marks = [mark for mark in panel.marks if isinstance(mark, Line | Points)]
    places = [float(value) for mark in marks for value in (mark.x if along_x else mark.y)]
    finite = [place for place in places if math.isfinite(place)] or [0.0]
    span = max(finite) - min(finite)
    power: int = 10 ** max(0, math.floor(math.log10(max(span, 1) / MOST_STEPS)))
    return next(step for step in (power, 2 * power, 5 * power, 10 * power) if span <= MOST_STEPS * step)


def _trace(mark: Line | Points | Bars | Heat | Rule, panel: Panel) -> dict[str, Any]:
    if isinstance(mark, Rule):  # a line of its own in the legend, drawn as a shape
        line = {"color": LIGHT["grey"], "dash": "dash", "width": 1.5}
        return {"type": "scatter", "mode": "lines", "x": [None], "y": [None], "name": mark.name, "line": line}
    if isinstance(mark, Line):
        return {
            "type": "scatter",
            "mode": "lines",
            "name": mark.name,
            "showlegend": mark.in_legend,
            "x": list(mark.x) if panel.x.categories else _numbers(mark.x),
            "y": _numbers(mark.y),
            "line": {"color": LIGHT[mark.colour], "dash": DASHES[mark.dash], "shape": "hv" if mark.steps else "linear"},
        }
    if isinstance(mark, Bars):
        return {
            "type": "bar",
            "orientation": "h",
            "name": mark.name,
            "x": _numbers(mark.values),
            "y": list(mark.labels),
            "marker": {"color": LIGHT[mark.colour]},
            "text": [f"{value:.2f}" for value in mark.values],
            "textposition": "outside",
            "cliponaxis": False,
            "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
        }
    if isinstance(mark, Points):
        return _points(mark, panel)
    return {
        "type": "heatmap",
        "x": list(mark.columns),
        "y": list(mark.rows),
        "z": [_numbers(row) for row in mark.values],
        "text": [list(row) for row in mark.texts],
        "texttemplate": "%{text}",
        "zmin": 0,
        "zmax": mark.top,
        "xgap": 1,
        "ygap": 1,
        "colorscale": [[index / (len(HEAT) - 1), colour] for index, colour in enumerate(HEAT)],
        "colorbar": {"title": {"text": mark.meaning, "side": "right"}, "thickness": 10, "len": 0.9, "outlinewidth": 0},
        "hovertemplate": "%{y} / %{x}: %{z:.3f}<extra></extra>",
        "hoverongaps": False,
        "showlegend": False,
    }


def _points(mark: Points, panel: Panel) -> dict[str, Any]:
    x = list(mark.x) if panel.x.categories else _numbers(mark.x)
    y = list(mark.y) if panel.y.categories else _numbers(mark.y)
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": mark.name,
        "showlegend": mark.in_legend,
        "x": x,
        "y": y,
        "marker": {
            "color": LIGHT[mark.colour],
            "symbol": SYMBOLS[mark.symbol],
            "size": 6 if len(x) > 60 else 8,
            "opacity": 0.6 if mark.colour == "grey" else 1,
        },
    }
    if mark.labels:
        trace |= {"text": list(mark.labels), "hovertemplate": "%{text}: %{y:.3f} at %{x}<extra></extra>"}
    if mark.low:
        values = mark.x if mark.interval_of == "x" else mark.y
        above = [_number(high - float(value)) for high, value in zip(mark.high, values, strict=True)]
        below = [_number(float(value) - low) for low, value in zip(mark.low, values, strict=True)]
        reach = {"type": "data", "array": above, "arrayminus": below, "symmetric": False, "thickness": 1.6}
        trace[f"error_{mark.interval_of}"] = reach
    return trace


def _rule(mark: Rule) -> dict[str, Any]:
    ends = {"x0": mark.x, "x1": mark.x, "y0": 0, "y1": 1, "yref": "paper"}
    if mark.x is None:
        ends = {"y0": mark.y, "y1": mark.y, "x0": 0, "x1": 1, "xref": "paper"}
    return {"type": "line", "line": {"color": LIGHT["grey"], "dash": "dash", "width": 1.5}, **ends}


def _numbers(values: Sequence[Any]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: Any) -> float | None:
    """JSON has no NaN."""
    number = float(value)
    return number if math.isfinite(number) else None
