"""Figures as files: PNG to look at, SVG to print; by matplotlib, without a display."""

import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator, NullFormatter

from rfe.reporting.report.colours import HEAT, INK, LIGHT, heat_ink
from rfe.reporting.report.document import Axis, Bars, Figure, Heat, Line, Panel, Points, Rule, change_text
from rfe.tracking.figures import MOST_NUMBERS

DPI = 140
PANEL_INCHES = {"small": (3.0, 2.5), "normal": (5.6, 3.9), "large": (8.4, 7.4)}
CATEGORY_INCHES = 0.3
COLUMNS = {"small": 3, "normal": 2, "large": 1}
SYMBOLS = {"circle": "o", "diamond": "D", "square": "s", "cross": "x"}
DASHES: dict[str, Any] = {"solid": "-", "dash": (0, (5, 2)), "dot": (0, (1, 1.5))}
COLOURMAP = LinearSegmentedColormap.from_list("report", HEAT)


def draw(figure: Figure) -> tuple[bytes, bytes]:
    """(PNG, SVG), both light."""
    with mpl.rc_context({"svg.hashsalt": figure.name, "font.size": 9, "axes.edgecolor": "#777777"}):
        canvas = _canvas(figure)
        FigureCanvasAgg(canvas)
        canvas.draw_without_rendering()  # the layout is worked out once, not for each kind of file
        canvas.set_layout_engine("none")
        png, svg = io.BytesIO(), io.BytesIO()
        FigureCanvasSVG(canvas).print_svg(svg, metadata={"Date": None})  # `print_figure` would draw each twice
        canvas.set_dpi(DPI)
        FigureCanvasAgg(canvas).print_png(png)
    return png.getvalue(), svg.getvalue()


def _canvas(figure: Figure) -> Canvas:
    n = len(figure.panels)
    columns = min(n, COLUMNS[figure.size])
    rows = math.ceil(n / columns)
    width, height = PANEL_INCHES[figure.size]
    height = max(_height(panel, height) for panel in figure.panels)
    canvas = Canvas(figsize=(max(width * columns, 6.4), height * rows), layout="constrained", facecolor="white")
    grid = np.asarray(canvas.subplots(rows, columns, squeeze=False)).ravel()
    for axes, panel in zip(grid, figure.panels, strict=False):
        _draw_panel(axes, change_text(panel, _literal), canvas)
    for axes in grid[n:]:
        axes.set_visible(False)
    _legend(canvas, grid[:n])
    return canvas


def _literal(text: str) -> str:
    """`text` without the formulas that matplotlib would find between two dollars."""
    return text.replace("$", r"\$")


def _height(panel: Panel, usual: float) -> float:
    """Named rows need room each."""
    heat = any(isinstance(mark, Heat) for mark in panel.marks)
    named = len(panel.y.categories)
    if not named:
        return usual
    inches = (0.16 if named > MOST_NUMBERS else 0.42) if heat else CATEGORY_INCHES
    return max(1.9, inches * named + 1.3)


def _draw_panel(axes: Axes, panel: Panel, canvas: Canvas) -> None:
    if panel.title:
        axes.set_title(panel.title, fontsize=10)
    heat = next((mark for mark in panel.marks if isinstance(mark, Heat)), None)
    if heat is not None:
        _draw_heat(axes, heat, canvas)
        _name_rows(axes, heat.rows)
    else:
        _prepare(axes, panel)
        for mark in panel.marks:
            _draw_mark(axes, mark, panel)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.margins(x=0.05)
    axes.set(xlabel=panel.x.title, ylabel=panel.y.title)


def _prepare(axes: Axes, panel: Panel) -> None:
    """Scales and categories, before anything is drawn."""
    for axis, along, named in ((panel.x, axes.xaxis, axes.set_xticks), (panel.y, axes.yaxis, axes.set_yticks)):
        if axis.categories:
            labels = [textwrap.shorten(one, 44, placeholder="...") for one in axis.categories]
            named(range(len(axis.categories)), labels)
        elif axis.log:
            (axes.set_xscale if along is axes.xaxis else axes.set_yscale)("log")
            along.set_major_formatter(LogFormatterSciNotation())
            along.set_minor_formatter(NullFormatter())
        elif axis.whole:
            along.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if panel.y.categories:
        axes.set_ylim(len(panel.y.categories) - 0.4, -0.6)  # the first at the top
    if panel.x.categories:
        axes.set_xlim(-0.5, len(panel.x.categories) - 0.5)
        if max(map(len, panel.x.categories)) * len(panel.x.categories) > 24:
            axes.tick_params(axis="x", labelrotation=30)
            for label in axes.get_xticklabels():
                label.set_horizontalalignment("right")
    if panel.x.range:
        axes.set_xlim(*_wider(panel.x.range))
    if panel.y.range:
        axes.set_ylim(*_wider(panel.y.range))


def _draw_mark(axes: Axes, mark: Line | Points | Bars | Heat | Rule, panel: Panel) -> None:
    if isinstance(mark, Rule):
        line = axes.axvline if mark.x is not None else axes.axhline
        line(
            mark.x if mark.x is not None else mark.y,
            color=LIGHT["grey"],
            linestyle=DASHES["dash"],
            lw=1,
            label=mark.name,
        )
    elif isinstance(mark, Line):
        style = "steps-post" if mark.steps else "default"
        axes.plot(
            _places(mark.x, panel.x),
            mark.y,
            color=LIGHT[mark.colour],
            linestyle=DASHES[mark.dash],
            drawstyle=style,
            label=mark.name if mark.in_legend else None,
        )
    elif isinstance(mark, Bars):
        places = [panel.y.categories.index(label) for label in mark.labels]
        bars = axes.barh(places, mark.values, height=0.65, color=LIGHT[mark.colour])
        axes.bar_label(bars, [f"{value:.2f}" for value in mark.values], padding=3, fontsize=8)
        axes.set_xlim(0, 1.18 * max([*mark.values, 1e-9]))
    elif isinstance(mark, Points):
        x, y = _places(mark.x, panel.x), _places(mark.y, panel.y)
        colour = LIGHT[mark.colour]
        if mark.low:
            values = x if mark.interval_of == "x" else y
            reach = np.maximum([np.subtract(values, mark.low), np.subtract(mark.high, values)], 0)
            errors: dict[str, Any] = {f"{mark.interval_of}err": reach}
            axes.errorbar(x, y, **errors, fmt="none", ecolor=colour, elinewidth=1.4, capsize=2.5)
        size = 14 if len(x) > 60 else 24
        label = mark.name if mark.in_legend else None
        alpha = 0.6 if mark.colour == "grey" else 1.0
        axes.scatter(x, y, s=size, color=colour, marker=SYMBOLS[mark.symbol], alpha=alpha, label=label, zorder=3)


def _draw_heat(axes: Axes, heat: Heat, canvas: Canvas) -> None:
    values = np.array(heat.values, float)
    image = axes.imshow(np.ma.masked_invalid(values), cmap=COLOURMAP, vmin=0, vmax=heat.top, aspect="auto")
    axes.set_xticks(range(len(heat.columns)), heat.columns)
    if len(heat.columns) > 8:
        turned = {"rotation": 90, "va": "center"} if len(heat.columns) > MOST_NUMBERS else {"rotation": 60}
        axes.set_xticks(range(len(heat.columns)), heat.columns, ha="right", rotation_mode="anchor", **turned)
    for along, names in (("x", heat.columns), ("y", heat.rows)):
        if len(names) > MOST_NUMBERS:
            axes.tick_params(axis=along, labelsize=5.5)
    small = 7 if len(heat.columns) > 8 else 8.5
    for row, texts in enumerate(heat.texts):
        for column, text in enumerate(texts):
            if text:
                ink = heat_ink(values[row, column] / heat.top)
                axes.text(column, row, text, ha="center", va="center", fontsize=small, color=ink)
    canvas.colorbar(image, ax=axes, shrink=0.85, label=heat.meaning)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [textwrap.shorten(name, 30, placeholder="...") for name in names])


def _places(values: Sequence[Any], axis: Axis) -> list[float]:
    return [axis.categories.index(value) if axis.categories else float(value) for value in values]


def _wider(ends: tuple[float, float]) -> tuple[float, float]:
    room = 0.03 * (ends[1] - ends[0])
    return ends[0] - room, ends[1] + room


def _legend(canvas: Canvas, grid: Iterable[Axes]) -> None:
    """One for all panels, above them, where there is more than one thing to tell apart."""
    shown: dict[str, Any] = {}
    for axes in grid:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    if len(shown) > 1:
        columns = min(len(shown), max(1, int(canvas.get_size_inches()[0] / 2)))
        legend = canvas.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=columns, frameon=False)
        for text in legend.get_texts():
            text.set_color(INK)
