"""Class histogram of a data set: pixels, images and segments of every class, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.datasets.statistics import ClassStats, DatasetStats
from bench.reports.figures.plot import PALETTE, STYLE, Plot

KINDS = {"things": PALETTE[0], "stuff": PALETTE[1]}
ROW_INCHES, COLUMN_INCHES = 0.19, 2.75


@matplotlib.rc_context(STYLE)
def class_histogram(stats: DatasetStats) -> Plot:
    """Draw one row per class by falling pixel count. The title counts the classes without pixels."""
    rows = sorted((row for row in stats.per_class if row.pixels), key=lambda row: -row.pixels)
    columns = {"Pixels": [row.pixels for row in rows], "Images": [row.images for row in rows]}
    if stats.segments is not None:
        columns["Segments"] = [row.segments or 0 for row in rows]
    size = 1 + COLUMN_INCHES * len(columns), 1.5 + ROW_INCHES * max(len(rows), 1)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(1, len(columns), squeeze=False)[0]
    for axes, (title, values) in zip(grid, columns.items(), strict=True):
        _panel(axes, title, values, rows)
    grid[0].set_yticks(np.arange(len(rows)), [row.name for row in rows], fontsize=8)
    absent = sum(not row.pixels for row in stats.per_class)
    said = f"; {absent} of {len(stats.per_class)} classes never occur" if absent else ""
    title = f"{stats.dataset}, {stats.images} image{'' if stats.images == 1 else 's'}{said}"
    figure.legend([Patch(color=color) for color in KINDS.values()], list(KINDS), loc="outside upper left", title=title,
                  title_fontproperties={"size": 11, "weight": "bold"}, alignment="left", ncols=2)  # fmt: skip
    return Plot("classes", f"Classes of {stats.dataset}", figure)


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
    colors = [KINDS["things" if row.isthing else "stuff"] for row in rows]
    # A logarithmic axis has no 0: classes without images or segments end at the left edge.
    axes.barh(np.arange(len(rows)), [max(value, 0.5) for value in values], height=0.78, color=colors, linewidth=0)
    for place, value in enumerate(values):
        axes.text(max(value, 0.5) * 1.15, place, _short(value), va="center_baseline", fontsize=6.5, color="#222222",
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3})  # fmt: skip


def _short(value: float) -> str:
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:g}"
