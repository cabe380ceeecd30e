"""Class histogram of a data set: pixels, images and segments of every class, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.datasets.statistics import ClassStats, DatasetStats
from bench.reports.figures.plot import PALETTE, STYLE, Plot

THING, STUFF = PALETTE[0], PALETTE[1]
ROW_INCHES, TOP_INCHES, BOTTOM_INCHES, COLUMN_INCHES, GAP_INCHES = 0.19, 0.95, 0.35, 2.2, 0.55


@matplotlib.rc_context(STYLE)
def class_histogram(stats: DatasetStats) -> Plot:
    """Draw one row per class by falling pixel count. The title counts the classes without pixels."""
    rows = sorted((row for row in stats.per_class if row.pixels), key=lambda row: -row.pixels)
    columns = {"Pixels": [row.pixels for row in rows], "Images": [row.images for row in rows]}
    if stats.segments is not None:
        columns["Segments"] = [row.segments or 0 for row in rows]
    figure, grid = _canvas(rows, len(columns))
    for axes, (title, values) in zip(grid, columns.items(), strict=True):
        _panel(axes, title, values, rows)
    grid[0].set_yticks(np.arange(len(rows)), [row.name for row in rows], fontsize=8)
    _title(figure, stats)
    return Plot("classes", f"Classes of {stats.dataset}", figure)


def _canvas(rows: Sequence[ClassStats], columns: int) -> tuple[Figure, list[Axes]]:
    left = 0.3 + 0.075 * max((len(row.name) for row in rows), default=0)
    width = left + columns * (COLUMN_INCHES + GAP_INCHES)
    inches = ROW_INCHES * max(len(rows), 1)
    height = TOP_INCHES + inches + BOTTOM_INCHES
    figure = Figure(figsize=(width, height))
    boxes = [(left + k * (COLUMN_INCHES + GAP_INCHES), BOTTOM_INCHES, COLUMN_INCHES, inches) for k in range(columns)]
    return figure, [figure.add_axes((x / width, y / height, w / width, h / height)) for x, y, w, h in boxes]


def _panel(axes: Axes, title: str, values: Sequence[int], rows: Sequence[ClassStats]) -> None:
    high = 10 ** np.ceil(np.log10(max([*values, 10])))
    axes.set(xscale="log", xlim=(0.5, high), ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.set_title(title, pad=6)
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.tick_params(axis="x", labelsize=8, labelcolor="#555555")
    axes.tick_params(length=0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    colors = [THING if row.isthing else STUFF for row in rows]
    axes.barh(np.arange(len(rows)), [max(value, 0.5) for value in values], height=0.78, color=colors, linewidth=0)
    for place, value in enumerate(values):
        axes.text(max(value, 0.5) * 1.15, place, _short(value), va="center_baseline", fontsize=6.5, color="#222222",
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3})  # fmt: skip


def _short(value: float) -> str:
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:g}"


def _title(figure: Figure, stats: DatasetStats) -> None:
    height, width = figure.get_figheight(), figure.get_figwidth()
    title = f"{stats.dataset}, {stats.images} image{'' if stats.images == 1 else 's'}"
    figure.text(0.15 / width, 1 - 0.12 / height, title, va="top", fontsize=11, fontweight="bold")
    absent = sum(not row.pixels for row in stats.per_class)
    if absent:
        said = f"{absent} of {len(stats.per_class)} classes never occur"
        figure.text(1.85 / width, 1 - 0.40 / height, said, va="top", fontsize=9, color="#555555")
    for k, (name, color) in enumerate((("things", THING), ("stuff", STUFF))):
        x, y = (0.15 + 0.8 * k) / width, 1 - 0.40 / height
        figure.add_artist(Rectangle((x, y - 0.13 / height), 0.13 / width, 0.13 / height, color=color, linewidth=0))
        figure.text(x + 0.2 / width, y, name, va="top", fontsize=9)
