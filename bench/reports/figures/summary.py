"""Plots of error types, cost, training curves and contrasts. They are at most 5 inches wide, to be read on a phone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from bench.analysis.contrasts import Verdict
from bench.metrics.errors import ERROR_TYPES
from bench.reports.figures.bars import headline_bars
from bench.reports.figures.plot import PALETTE, STYLE, Plot, short
from bench.reports.views.cost import Scatter, scatters
from bench.reports.views.errors import Stack, class_stacks, group_stacks
from bench.reports.views.runs import RunView
from bench.reports.views.training import Chart, charts
from bench.results.predictions import safe_file_stem

# No part is black, which is the colour of the page's text and would be light in the dark.
KIND_COLORS = {"PQ": "#8B949E"} | dict(
    zip(
        ERROR_TYPES,
        ("#B9E0F7", "#D55E00", "#F0E442", "#009E73", "#E69F00", "#4D4D4D", "#0072B2", "#CC79A7"),
        strict=True,
    )
)
NOISE: Any = {"color": PALETTE[1], "alpha": 0.45}
WIDTH, NARROW = 5.0, 4.4  # inches; two or three narrow ones stand side by side
HOLLOW = "hollow: another is no worse in PQ and cost, better in one"
MARKED = 20  # points; curves with more have no marks


def plots(views: Sequence[RunView]) -> list[Plot]:
    """Return the plots of a report that its runs have data for."""
    stacks = [("errors", "PQ and losses by kind of error, percent", group_stacks(views))]
    stacks += [
        (class_errors_name(view), f"{view.label}: PQ and losses of each class, percent", class_stacks(view))
        for view in views
    ]
    drawn = headline_bars(views) + [error_stacks(name, title, rows) for name, title, rows in stacks if rows]
    drawn += [cost_scatter(one) for one in scatters(views) if one.points]
    return drawn + [training_curves(chart, f"training-{chart.name}") for chart in charts(views)]


def class_errors_name(view: RunView) -> str:
    """Return the name of the plot of a run's losses by class."""
    return f"errors-{view.color_index + 1}-{safe_file_stem(view.label)}"


@matplotlib.rc_context(STYLE)
def error_stacks(name: str, title: str, rows: Sequence[Stack]) -> Plot:
    """Draw one bar for each stack: PQ and the loss by error type, which add up to 100."""
    plot = Plot(name, title, Figure(figsize=(WIDTH, 0.6 + 0.27 * len(rows)), layout="constrained"))
    axes = plot.figure.subplots()
    for y, stack in enumerate(rows):
        start = 0.0
        for kind, share in (("PQ", stack.pq), *stack.losses):
            width = 100 * share
            # Thinner parts are invisible, and each tooltip adds to the page.
            if width >= 0.05:
                part = axes.add_patch(Rectangle((start, y - 0.41), width, 0.82, color=KIND_COLORS[kind], linewidth=0))
                plot.tip(part, f"{stack.name}: {kind} {width:.1f}")
            if width > 6:
                ink = "#FFFFFF" if kind in ("left void", "missed") else "#111111"
                axes.text(start + width / 2, y, f"{width:.0f}", ha="center", va="center", fontsize=8.5, color=ink)
            start += width
    axes.set(xlim=(0, 100), ylim=(len(rows) - 0.5, -0.5), xlabel="percent")
    axes.set_yticks(range(len(rows)), [textwrap.fill(stack.name, 24) for stack in rows])
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
    kinds = [Patch(color=color) for color in KIND_COLORS.values()]
    plot.explain(kinds, list(KIND_COLORS), 4)
    return plot


@matplotlib.rc_context(STYLE)
def cost_scatter(one: Scatter) -> Plot:
    """Draw PQ against a cost; the marks of dominated runs are hollow."""
    cost = one.cost
    plot = _narrow(f"cost-{cost.name}", f"PQ against {cost.title[0].lower()}{cost.title[1:]}")
    axes = plot.figure.subplots()
    marks: list[Artist] = []
    for point in one.points:
        color = PALETTE[point.color_index]
        face = "none" if point.dominated else color
        (mark,) = axes.plot(point.cost, point.pq, "o", ms=8, mew=2, mec=color, mfc=face, clip_on=False, zorder=3)
        dominated = " (dominated)" if point.dominated else ""
        plot.tip(mark, f"{point.label}: PQ {point.pq:.1f}, {EngFormatter(cost.unit, places=1)(point.cost)}{dominated}")
        marks.append(mark)
    labels = [short(point.label) for point in one.points]
    low, high = (end(point.cost for point in one.points) for end in (min, max))
    note = f"\n{HOLLOW}" if any(point.dominated for point in one.points) else ""
    # From 0, so that the height of a point is not exaggerated by a cut axis.
    top = 1.1 * max(1.0, *(point.pq for point in one.points))
    axes.set(xscale="log", xlim=(low / 2, high * 2), xlabel=cost.title + note, ylabel="PQ (percent)", ylim=(0, top))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(cost.unit))
    axes.grid()
    plot.explain(marks, labels)
    return plot


@matplotlib.rc_context(STYLE)
def training_curves(chart: Chart, name: str) -> Plot:
    """Draw logged values over steps. The legend holds the last value of each curve."""
    plot = _narrow(name, f"{chart.title} over steps, last value beside each name")
    axes = plot.figure.subplots()
    lines: list[Artist] = []
    labels: list[str] = []
    for curve in chart.curves:
        color = PALETTE[curve.color_index % len(PALETTE)]
        last = f"{curve.points[-1][1]:.4g}"
        (line,) = axes.plot(*zip(*curve.points, strict=True), color=color, ls=curve.style, lw=1.4)
        lines.append(line)
        labels.append(f"{short(curve.label)}: {last}")
        plot.tip(line, f"{curve.label}: {last} (step {curve.points[-1][0]:.0f})")
        for x, y in curve.points if len(curve.points) <= MARKED else ():
            (mark,) = axes.plot(x, y, "o", ms=3, color=color)
            plot.tip(mark, f"{curve.label}: {y:.4g} (step {x:.0f})")
    axes.set(xlabel="step", ylabel=chart.title)
    axes.grid()
    plot.explain(lines, labels)
    return plot


def _narrow(name: str, title: str) -> Plot:
    return Plot(name, title, Figure(figsize=(NARROW, 2.8), layout="constrained"))


@matplotlib.rc_context(STYLE)
def forest(said: Sequence[Verdict]) -> Plot:
    """Draw differences in PQ with their intervals, in points, over the band of seed variation around zero."""
    figure = Figure(figsize=(WIDTH, 0.7 + 0.42 * len(said)), layout="constrained")
    plot = Plot("contrasts", "Differences in PQ, points", figure)
    axes = figure.subplots()
    axes.use_sticky_edges = False
    axes.axvline(0, color="black", lw=1)
    for y, one in enumerate(said):
        value, low, high = (100 * (x or 0.0) for x in (one.delta.value, one.delta.low, one.delta.high))
        told = f"{one.arm} minus {one.reference}"
        if one.yardstick is not None:
            noise = 100 * one.yardstick
            (seeds,) = axes.barh(y, 2 * noise, left=-noise, height=0.7, **NOISE)
            plot.tip(seeds, f"{told}: what seeds do, ± {noise:.2f}")
        (span,) = axes.plot([low, high], [y, y], color="black", lw=1.5)
        plot.tip(span, f"{told}: 95 % interval {low:+.2f} to {high:+.2f}")
        (dot,) = axes.plot(value, y, "o", ms=6, color=PALETTE[0])
        plot.tip(dot, f"{told}: {value:+.2f}")
    axes.set(ylim=(len(said) - 0.5, -0.5), xlabel="difference in PQ (points)")
    names = [f"{one.arm}\n{textwrap.shorten(one.contrast, 28, placeholder='…')}" for one in said]
    axes.set_yticks(range(len(said)), names)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
    dot = Line2D([], [], color="black", lw=1.5, marker="o", mec=PALETTE[0], mfc=PALETTE[0])
    plot.explain([dot, Patch(**NOISE)], ["95 % interval over images", "what seeds do"])
    return plot
