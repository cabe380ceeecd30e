"""Bar charts of the class-wise metrics of one or several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.reports.tables import UNDEFINED, percent
from bench.reports.views.classes import MEASURES
from bench.results.run import Run

if TYPE_CHECKING:
    import pandas as pd

DPI = 150
# Okabe and Ito's colours ("Color Universal Design"): told apart in the common kinds of colour blindness.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")

BAR_INCHES = 0.15  # a bar and its number in 7 pt
GAP_BARS = 0.7  # between classes, in bars
STYLE: Any = {  # rcParams; their type names every key of one version of matplotlib
    "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 10, "axes.spines.top": False,
    "axes.spines.right": False, "axes.spines.left": False, "svg.hashsalt": "",
}  # fmt: skip


def class_bars(runs: Sequence[Run], path: Path) -> Path:
    """Draw PQ, SQ, RQ and IoU of every class as PNG or SVG; things above stuff, in the order of the label space."""
    frames = [run.to_frame() for run in runs]
    measures = [m for m in MEASURES if m != "IoU_semantic" or any(f[m].notna().any() for f in frames)]
    groups = [(name, rows) for name, isthing in (("Things", True), ("Stuff", False))
              if len(rows := np.flatnonzero(frames[0]["isthing"] == isthing))]  # fmt: skip
    with matplotlib.rc_context(STYLE):
        widest = max(len(str(name)) for name in frames[0]["name"])
        figure, grid = _canvas(len(measures), [len(rows) for _, rows in groups], len(runs), widest)
        for line, (name, rows) in zip(grid, groups, strict=True):
            for axes, measure in zip(line, measures, strict=True):
                _panel(axes, [frame[measure].iloc[rows] for frame in frames])
                axes.set_title(MEASURES[measure], pad=6)
            _names(line[0], name, [str(text) for text in frames[0]["name"].iloc[rows]])
        _legend(figure, runs)
        save(figure, path)
    return path


def save(figure: Figure, path: Path) -> None:
    """Save as PNG or SVG by file name suffix, without a date so that equal runs give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else {"Software": None})


def _canvas(columns: int, classes: Sequence[int], runs: int, letters: int) -> tuple[Figure, list[list[Axes]]]:
    """Return the figure and its axes by (group, measure). Heights follow the number of bars, at a fixed bar size."""
    heights = [count * (runs + GAP_BARS) * BAR_INCHES for count in classes]
    top, between, bottom, right, column = 0.75 + 0.22 * runs, 0.55, 0.3, 0.1, 2.35
    left = max(1.3, 0.085 * letters + 0.2)
    width = left + columns * column + right
    height = top + sum(heights) + between * (len(classes) - 1) + bottom
    figure = Figure(figsize=(width, height))
    grid: list[list[Axes]] = []
    y = height - top
    for inches in heights:
        y -= inches
        boxes = [(left + k * column, y, column - 0.5, inches) for k in range(columns)]
        grid.append([figure.add_axes((x / width, b / height, w / width, h / height)) for x, b, w, h in boxes])
        y -= between
    return figure, grid


def _panel(axes: Axes, columns: Sequence[pd.Series[float]]) -> None:
    """Draw one measure for the classes of a group, with the value beside each bar and a dash if undefined."""
    classes = len(columns[0])
    step = len(columns) + GAP_BARS
    axes.set(xlim=(0, 1), ylim=(classes * step, 0), yticks=[], xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_xticklabels(["0", "25", "50", "75", "100"], fontsize=8, color="#555555")
    axes.tick_params(length=0)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for k, values in enumerate(columns):
        places = np.arange(classes) * step + GAP_BARS / 2 + k + 0.5
        axes.barh(places, values.fillna(0.0), height=0.86, color=PALETTE[k], linewidth=0)
        for place, value in zip(places.tolist(), values.tolist(), strict=True):
            _number(axes, place, None if np.isnan(value) else value)


def _number(axes: Axes, place: float, value: float | None) -> None:
    text = UNDEFINED if value is None else percent(value)
    axes.text((value or 0.0) + 0.015, place, text, va="center_baseline", fontsize=7, color="#222222",
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4})  # fmt: skip


def _names(axes: Axes, group: str, names: Sequence[str]) -> None:
    low = axes.get_ylim()[0]
    axes.set_yticks((np.arange(len(names)) + 0.5) * low / len(names))
    axes.set_yticklabels(names)
    axes.annotate(group, (0, 1), (-5, 6), "axes fraction", "offset points", ha="right", va="baseline",
                  fontweight="bold", fontsize=10)  # fmt: skip


def _legend(figure: Figure, runs: Sequence[Run]) -> None:
    height, margin = figure.get_figheight(), 0.15 / figure.get_figwidth()
    images = runs[0].score.images
    title = f"{runs[0].dataset}, {images} image{'' if images == 1 else 's'}, percent"
    figure.text(margin, 1 - 0.12 / height, title, va="top", fontsize=11, fontweight="bold")
    for k, run in enumerate(runs):
        y = 1 - (0.38 + 0.22 * k) / height
        swatch = (margin, y - 0.13 / height), 0.13 / figure.get_figwidth(), 0.13 / height
        figure.add_artist(Rectangle(*swatch, color=PALETTE[k], linewidth=0))
        figure.text(margin + 0.2 / figure.get_figwidth(), y, _label(run), va="top", fontsize=9)


def _label(run: Run) -> str:
    pq = run.score.PQ
    means = f"things {percent(pq.things.PQ)}, stuff {percent(pq.stuff.PQ)}"
    return f"{run.name}:  PQ {percent(pq.all.PQ)}  ({means})"
