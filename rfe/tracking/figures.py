"""Figures of one trial, drawn from the journal's files and numbers."""

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rfe.journal.events import TrialLog

INK = "#1f4e79"
MOST_NUMBERS = 24
"""With more rows or columns a heat map's cells are too small for numbers."""
# Margins are given, as matplotlib's own search for them draws everything twice and these are drawn beside a search.


def trial_figures(log: TrialLog) -> Iterator[tuple[str, bytes]]:
    """File name and PNG of each picture that the trial has the numbers for.

    `confusion.png` from confusion.csv, `learning_curve.png` from the curves, `gate.png` from the kept frequencies.
    Needs no display and touches no global state, so a thread may call it.
    """
    confusion = log.artifacts.get("confusion.csv")
    if confusion is not None:
        content = confusion.read_bytes() if isinstance(confusion, Path) else confusion
        yield "confusion.png", confusion_figure(content.decode(), log.number)
    if _drawable(log):
        yield "learning_curve.png", curve_figure(log)
    if log.kept_frequency:
        yield "gate.png", gate_figure(log)


def confusion_figure(table: str, number: int) -> bytes:
    """PNG heat map of truth (rows) against answer (columns), by set, coloured by the share of the row.

    Args:
        table: CSV with the sets' names as header and in the first column; clip counts (means over seeds).
        number: of the trial.
    """
    rows = list(csv.reader(io.StringIO(table)))
    names = rows[0][1:]
    counts = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])  # [truth, answer]
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1e-9)
    many = len(names) > MOST_NUMBERS
    figure = Figure(figsize=(12.3, 11.1) if many else (8.2, 7.4))
    axes = figure.subplots(gridspec_kw={"left": 0.14, "right": 1.03, "bottom": 0.14, "top": 0.96})
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=max(0.5, float(share.max())))
    turned = {"rotation": 90, "va": "center"} if many else {"rotation": 60}
    axes.set_xticks(range(len(names)), names, ha="right", rotation_mode="anchor", **turned)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=6 if many else 9)
    for truth, answer in () if many else zip(*np.nonzero(counts), strict=True):
        dark = share[truth, answer] > 0.5 * image.norm.vmax if image.norm.vmax else False
        axes.text(
            answer,
            truth,
            say_clips(counts[truth, answer]),
            ha="center",
            va="center",
            fontsize=7,
            color="white" if dark else "#333333",
        )
    axes.set(xlabel="answer", ylabel="truth", title=f"trial {number}: clips by set, out of fold")
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true set's clips")
    return _png(figure)


def say_clips(count: float) -> str:
    """A number of clips in a cell, where a mean over seeds may be a part of one; nothing for none."""
    if count == 0:
        return ""
    return f"{count:.0f}" if count >= 10 else f"{count:.2g}"


def curve_figure(log: TrialLog) -> bytes:
    """PNG of losses and scores by epoch, in two panels where there are both."""
    curves = _drawable(log)
    losses = {name: curve for name, curve in curves.items() if "loss" in name or "kl" in name}
    scores = {name: curve for name, curve in curves.items() if name == "score" or name.startswith("acc_")}
    panels = [(label, group) for label, group in (("loss", losses), ("out-of-fold accuracy", scores)) if group]
    if not panels:
        panels = [("value", curves)]
    width = 5.2 * len(panels)
    figure = Figure(figsize=(width, 3.6))
    edges = {"left": 0.75 / width, "right": 1 - 0.15 / width, "bottom": 0.14, "top": 0.83, "wspace": 0.18}
    panes = figure.subplots(1, len(panels), squeeze=False, gridspec_kw=edges)[0]
    for axes, (label, group) in zip(panes, panels, strict=True):
        for name, points in group.items():
            axes.plot(*zip(*points, strict=True), marker="." if len(points) < 30 else "", label=name)
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=9, ncols=len(axes.lines), loc="lower center", bbox_to_anchor=(0.5, 1.0))
        _quiet(axes)
    figure.suptitle(f"trial {log.number}", fontsize=11)
    return _png(figure)


def gate_figure(log: TrialLog) -> bytes:
    """PNG of bars: how often the gate kept each encoder of the pool."""
    ranked = sorted(log.kept_frequency.items(), key=lambda item: item[1])
    figure = Figure(figsize=(6.4, 1.2 + 0.34 * len(ranked)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([name for name, _ in ranked], [share for _, share in ranked], color=INK, height=0.65)
    axes.bar_label(bars, [f"{share:.0%}" for _, share in ranked], padding=3, fontsize=9)
    axes.set(xlim=(0, 1.12), xlabel="share of held-out clips", title=f"trial {log.number}: encoders kept by the gate")
    _quiet(axes)
    return _png(figure)


def _drawable(log: TrialLog) -> dict[str, list[tuple[int, float]]]:
    """The finite points of the curves that have at least two."""
    finite = {name: [point for point in curve if math.isfinite(point[1])] for name, curve in log.curves.items()}
    return {name: points for name, points in finite.items() if len(points) > 1}


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def trajectory_figure(losses: list[float], start: int, of: str) -> bytes:
    """PNG of an ensemble's forward selection: the loss of the clips it was chosen by, against how many models it has.

    Args:
        losses: mean negative log-likelihood after each step, nats per clip.
        start: models at the first step.
        of: what the likelihood is of: `the state`, or `the set` where the heads are weighted apart.
    """
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    steps = np.arange(start, start + len(losses))
    axes.plot(steps, losses, color=INK, marker="o", markersize=3)
    best = int(np.argmin(losses))
    axes.annotate(
        f"lowest: {losses[best]:.3f} at {steps[best]}",
        (steps[best], losses[best]),
        xytext=(0, 14),
        textcoords="offset points",
        ha="right" if best > len(losses) / 2 else "left",
        fontsize=9,
    )
    axes.set_xlabel("models in the average (with repetitions)")
    axes.set_ylabel(f"mean negative log-likelihood\nof {of} (nats per clip)")
    axes.set_title("Forward selection, mean over bags (in-sample: chosen by these clips)", fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    return _png(figure)
