"""Figures of error types, cost and training curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.reports.figures.class_bars import PALETTE, STYLE, save
from bench.reports.views.axes import format_si
from bench.reports.views.cost import Scatter
from bench.reports.views.errors import Stack
from bench.reports.views.training import Chart

PQ_COLOR = "#8B949E"
KIND_COLORS = ("#B9E0F7", "#D55E00", "#F0E442", "#009E73", "#E69F00", "#333333", "#0072B2", "#CC79A7")
ROW_INCHES = 0.3
SIDES = {  # of a label: its offset in points, and how it is aligned
    "right": ((8, 0), "left", "center"), "left": ((-8, 0), "right", "center"),
    "above": ((0, 8), "center", "bottom"), "below": ((0, -8), "center", "top"),
}  # fmt: skip


def stacked_errors(groups: Sequence[tuple[str, Sequence[Stack]]], path: Path) -> Path:
    """Draw one bar per run for all, things and stuff: PQ and the loss by error type, which add up to 100."""
    rows = [(f"{stack.name}, {group}", stack) for group, stacks in groups for stack in stacks]
    height = 0.95 + ROW_INCHES * len(rows)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, height))
        left = 0.02 + 0.011 * max(len(name) for name, _ in rows)
        axes = figure.add_axes((left, 0.55 / height, 0.97 - left, ROW_INCHES * len(rows) / height))
        for y, (_, stack) in enumerate(rows):
            _bar(axes, y, stack)
        axes.set(xlim=(0, 100), ylim=(len(rows) - 0.4, -0.6), yticks=range(len(rows)), xlabel="percent")
        axes.set_yticklabels([name for name, _ in rows])
        axes.tick_params(length=0)
        figure.legend(*axes.get_legend_handles_labels(), loc="upper left", ncols=5, frameon=False, fontsize=8)
        save(figure, path)
    return path


def _bar(axes: Axes, y: int, stack: Stack) -> None:
    start = 0.0
    parts = [("PQ", stack.pq, PQ_COLOR)]
    parts += [(kind, share, color) for (kind, share), color in zip(stack.losses, KIND_COLORS, strict=True)]
    for kind, share, color in parts:
        axes.barh(y, 100 * share, left=100 * start, color=color, height=0.8, label=kind if y == 0 else None)
        if share > 0.04:
            ink = "white" if kind in ("left void", "missed") else "black"
            middle = 100 * (start + share / 2)
            axes.text(middle, y, f"{100 * share:.0f}", ha="center", va="center", fontsize=7.5, color=ink)
        start += share


def accuracy_and_cost(scatters: Sequence[Scatter], path: Path) -> Path | None:
    """Draw PQ against each known cost; hollow marks are dominated runs. Return None if no cost is known."""
    known = [one for one in scatters if one.points]
    if not known:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(known), 3.4), layout="constrained")
        for axes, one in zip(figure.subplots(1, len(known), squeeze=False)[0], known, strict=True):
            _scatter(axes, one)
        save(figure, path)
    return path


def _scatter(axes: Axes, one: Scatter) -> None:
    axes.set(xscale="log", xlabel=one.title, ylabel="PQ (percent)")
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for point in one.points:
        color = PALETTE[point.color_index]
        face = "white" if point.dominated else color
        axes.plot(point.cost, point.pq, "o", ms=8, mew=2, mec=color, mfc=face, clip_on=False, zorder=3)
        offset, ha, va = SIDES[point.side]
        axes.annotate(point.label, (point.cost, point.pq), offset, textcoords="offset points", ha=ha, va=va, fontsize=8)
    if one.x and one.y:
        axes.set(xlim=(one.x.low, one.x.high), ylim=(one.y.low, one.y.high))
        axes.set_xticks(one.x.ticks, [format_si(tick) for tick in one.x.ticks])
        axes.minorticks_off()


MARKED = 40  # points; more of them are a line alone


def training_curves(charts: Sequence[Chart], path: Path) -> Path | None:
    """Draw loss and held-back PQ over steps, in the runs' colours. Return None if there is no training log."""
    if not charts:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(charts), 3.6), layout="constrained")
        drawn: dict[str, Line2D] = {}
        for axes, chart in zip(figure.subplots(1, len(charts), squeeze=False)[0], charts, strict=True):
            drawn |= _curves(axes, chart)
        figure.legend(drawn.values(), drawn, loc="outside upper left", ncols=3, frameon=False, fontsize=8)
        save(figure, path)
    return path


def _curves(axes: Axes, chart: Chart) -> dict[str, Line2D]:
    axes.set(xlabel="step", ylabel=chart.title, xlim=(chart.x.low, chart.x.high), ylim=(chart.y.low, chart.y.high))
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    drawn = {}
    for curve in chart.curves:
        marker = "o" if len(curve.points) <= MARKED else ""
        xs, ys = zip(*curve.points, strict=True)
        (drawn[curve.label],) = axes.plot(
            xs, ys, color=PALETTE[curve.color_index], linewidth=1.4, marker=marker, markersize=3
        )
    return drawn
