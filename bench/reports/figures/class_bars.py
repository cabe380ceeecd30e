"""Bar charts of the class-wise metrics of one or several runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.reports.figures.plot import PALETTE, STYLE, Plot
from bench.reports.tables import UNDEFINED, percent
from bench.reports.views.classes import MEASURES
from bench.results.run import Run

if TYPE_CHECKING:
    import pandas as pd

BAR_INCHES = 0.15  # a bar and its number in 7 pt
GAP_BARS = 0.7  # between classes, in bars


@matplotlib.rc_context(STYLE)
def class_bars(runs: Sequence[Run]) -> Plot:
    """Draw PQ, SQ, RQ and IoU of every class; things above stuff, in the order of the label space."""
    frames = [run.to_frame() for run in runs]
    names, isthing = frames[0]["name"].astype(str), frames[0]["isthing"]
    measures = [m for m in MEASURES if m != "IoU_semantic" or any(f[m].notna().any() for f in frames)]
    groups = {"Things": np.flatnonzero(isthing), "Stuff": np.flatnonzero(~isthing)}
    groups = {name: rows for name, rows in groups.items() if len(rows)}
    bars = [len(rows) * (len(runs) + GAP_BARS) for rows in groups.values()]
    # The height follows the number of bars: forty classes of eight runs need another page than ten of one.
    size = 2 * len(measures) + 1, 0.6 + 0.2 * len(runs) + 0.6 * len(groups) + BAR_INCHES * sum(bars)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(groups), len(measures), squeeze=False, height_ratios=bars)
    for line, (group, rows) in zip(grid, groups.items(), strict=True):
        for axes, measure in zip(line, measures, strict=True):
            _panel(axes, [frame[measure].iloc[rows] for frame in frames])
            axes.set_title(MEASURES[measure])
        middles = (np.arange(len(rows)) + 0.5) * (len(runs) + GAP_BARS)
        line[0].set_yticks(middles, list(names.iloc[rows]))
        line[0].set_ylabel(group, fontweight="bold")
    images = runs[0].score.images
    title = f"{runs[0].dataset}, {images} image{'' if images == 1 else 's'}, percent"
    swatches = [Patch(color=PALETTE[k]) for k in range(len(runs))]
    figure.legend(swatches, [_label(run) for run in runs], loc="outside upper left", title=title,
                  title_fontproperties={"size": 11, "weight": "bold"}, alignment="left")  # fmt: skip
    return Plot("classes", "Classes", figure)


def _panel(axes: Axes, columns: Sequence[pd.Series[float]]) -> None:
    """Draw one measure for the classes of a group, with the value beside each bar and a dash if undefined."""
    classes = len(columns[0])
    step = len(columns) + GAP_BARS
    axes.set(xlim=(0, 1), ylim=(classes * step, 0), yticks=[], xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_xticklabels(["0", "25", "50", "75", "100"], fontsize=8, color="#555555")
    axes.tick_params(length=0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    for k, values in enumerate(columns):
        places = np.arange(classes) * step + GAP_BARS / 2 + k + 0.5
        axes.barh(places, values.fillna(0.0), height=0.86, color=PALETTE[k], linewidth=0)
        for place, value in zip(places.tolist(), values.tolist(), strict=True):
            _number(axes, place, None if np.isnan(value) else value)


def _number(axes: Axes, place: float, value: float | None) -> None:
    text = UNDEFINED if value is None else percent(value)
    axes.text((value or 0.0) + 0.015, place, text, va="center_baseline", fontsize=7, color="#222222",
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4})  # fmt: skip


def _label(run: Run) -> str:
    pq = run.score.PQ
    means = f"things {percent(pq.things.PQ)}, stuff {percent(pq.stuff.PQ)}"
    return f"{run.name}:  PQ {percent(pq.all.PQ)}  ({means})"
