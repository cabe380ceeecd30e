"""Bar charts with intervals: headline metrics for a slide, and the class-wise metrics of one or several runs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.reports.figures.plot import LINE_INCHES, PALETTE, STYLE, Plot, short
from bench.reports.tables import UNDEFINED, percent
from bench.reports.views.classes import Cell, ClassRow, Measure, measures
from bench.reports.views.runs import RunView

SLIDE = 12.8, 7.2  # inches, 1920 × 1080 pixels
BAR_INCHES = 0.15  # a bar and its number in 7 pt
GAP_BARS = 0.7  # between classes, in bars
TALLEST = 14.4  # inches; more classes go to further figures
WHISKERS = "whisker: 95 % bootstrap interval over images"


@matplotlib.rc_context({**STYLE, "font.size": 20, "axes.titlesize": 22})
def headline_bars(views: Sequence[RunView]) -> list[Plot]:
    """Draw PQ of all classes, things and stuff of each run, or both kinds of mIoU of runs without PQ; or nothing."""
    known = {name for view in views for name, (value, _) in view.headline().items() if value is not None}
    kinds: tuple[tuple[str, ...], ...] = ("PQ", "PQ things", "PQ stuff"), ("mIoU semantic", "mIoU panoptic")
    shown = next((found for names in kinds if (found := [n for n in names if n in known])), [])
    if not shown:
        return []
    figure = Figure(figsize=SLIDE, layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))
    plot = Plot("headline", _title(shown[0].split()[0], views), figure)
    panels = figure.subplots(1, len(shown), squeeze=False, width_ratios=[1.5, *([1.0] * (len(shown) - 1))])[0]
    for axes, name in zip(panels, shown, strict=True):
        cells = [Cell(view.color_index, view.label, *view.headline()[name]) for view in views]
        _bars(plot, axes, range(len(views)), cells, 0.7, 20)
        # Three bars of a long axis would be as thick as the space between them.
        axes.set(ylim=(max(len(views), 3) - 0.5, -0.5), xlim=(0, 1.3), title=name)
    names = [textwrap.fill(short(view.label, 36), 18) for view in views]
    panels[0].set_yticks(range(len(views)), names, fontsize=20 if len(views) < 6 else 15)
    figure.suptitle(textwrap.fill(plot.title, 70), x=0.01, ha="left", weight="bold", size=24)
    figure.supxlabel(WHISKERS if _whiskers(views) else "no whiskers: these runs have no image lines", size=17)
    return [plot]


@matplotlib.rc_context(STYLE)
def class_bars(views: Sequence[RunView]) -> list[Plot]:
    """Draw PQ, SQ, RQ and IoU of every class; things above stuff, in the order of the label space.

    Classes that would make a figure taller than TALLEST go to further ones: "classes" becomes "classes-1" and so on.
    """
    found = measures(views)
    if not found:
        return []
    height = BAR_INCHES * (len(views) + GAP_BARS)
    order = [row for isthing in (True, False) for row in found[0].group(isthing)]
    free = TALLEST - 1.2 - LINE_INCHES * (len(views) + 1) - 0.6 * 2
    pages = np.array_split(np.arange(len(order)), math.ceil(len(order) / int(free / height)))
    plots = []
    for k, page in enumerate(pages):
        last, said = ("", "") if len(pages) == 1 else (f"-{k + 1}", f" ({k + 1} of {len(pages)})")
        names = {order[at].name for at in page.tolist()}
        plots.append(_class_page(f"classes{last}", _title("Classes", views) + said, views, found, names))
    return plots


def _class_page(name: str, title: str, views: Sequence[RunView], found: Sequence[Measure], names: set[str]) -> Plot:
    step = len(views) + GAP_BARS
    groups = {group: [row for row in found[0].group(isthing) if row.name in names]
              for group, isthing in (("Things", True), ("Stuff", False))}  # fmt: skip
    groups = {group: rows for group, rows in groups.items() if rows}
    bars = [len(rows) * step for rows in groups.values()]
    size = 1.9 * len(found) + 1.1, 0.3 + 0.6 * len(groups) + BAR_INCHES * sum(bars)
    plot = Plot(name, title, Figure(figsize=size, layout="constrained"))
    grid = plot.figure.subplots(len(groups), len(found), squeeze=False, height_ratios=bars)
    for line, (group, rows) in zip(grid, groups.items(), strict=True):
        for axes, measure in zip(line, found, strict=True):
            some = [row for row in measure.group(group == "Things") if row.name in names]
            _panel(plot, axes, measure.title, some, step)
        middles = (np.arange(len(rows)) + 0.5) * step
        line[0].set_yticks(middles, [textwrap.fill(short(row.name, 36), 18) for row in rows])
        line[0].set_ylabel(group, fontweight="bold")
    marks: list[Artist] = [Patch(color=PALETTE[view.color_index]) for view in views]
    labels = [_label(view) for view in views]
    if _whiskers(views):
        marks.append(Line2D([], [], color="#000000", lw=1, marker="|", ms=5))
        labels.append(WHISKERS)
    plot.explain(marks, labels, 1, numpoints=2)
    return plot


def _panel(plot: Plot, axes: Axes, title: str, rows: Sequence[ClassRow], step: float) -> None:
    """Draw one measure for the classes of a group."""
    places = [at * step + GAP_BARS / 2 + k + 0.5 for at, row in enumerate(rows) for k in range(len(row.cells))]
    _bars(plot, axes, places, [cell for row in rows for cell in row.cells], 0.86, 7)
    axes.set(xlim=(0, 1), ylim=(len(rows) * step, 0), title=title)


def _bars(plot: Plot, axes: Axes, places: Sequence[float], cells: Sequence[Cell], thick: float, points: float) -> None:
    """Draw a bar for each cell, its interval, and its value in percent beyond both, a dash if undefined."""
    axes.set(yticks=[], xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_xticklabels(["0", "25", "50", "75", "100"], fontsize=min(points + 1, 16), color="#767676")
    axes.tick_params(length=0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    colors = [PALETTE[cell.k] for cell in cells]
    axes.barh(places, [cell.value or 0.0 for cell in cells], height=thick, color=colors, linewidth=0)
    for place, cell, color in zip(places, cells, colors, strict=True):
        end = cell.value or 0.0
        if cell.interval is not None:
            end = max(end, cell.interval[1])
            # Black is a colour of the palette, too.
            ink = "#9A9A9A" if color == "#000000" else "#000000"
            (line,) = axes.plot(
                cell.interval,
                [place, place],
                color=ink,
                lw=points / 8,
                marker="|",
                ms=points * 0.8,
                mew=points / 8,
                clip_on=False,
            )
            low, high = (percent(one) for one in cell.interval)
            plot.tip(line, f"{cell.label}: {percent(cell.value)} ({low} to {high})")
        text = UNDEFINED if cell.value is None else percent(cell.value)
        axes.text(end + 0.02, place, text, va="center_baseline", fontsize=points, color="#000000")


def _whiskers(views: Sequence[RunView]) -> bool:
    return any("intervals" in view.views for view in views)


def _title(what: str, views: Sequence[RunView]) -> str:
    images = views[0].score.images
    return f"{what} on {views[0].run.dataset}, {images} image{'' if images == 1 else 's'}, percent"


def _label(view: RunView) -> str:
    pq = view.score.PQ
    means = f"things {percent(pq.things.PQ)}, stuff {percent(pq.stuff.PQ)}"
    return f"{short(view.label)}:  PQ {percent(pq.all.PQ)}  ({means})"
