"""Training curves of several runs beside each other. The figure of the page, for papers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figures import PALETTE, STYLE, save
from bench.report.page.training import Chart

MARKED = 40  # points; more of them are a line alone


def training_curves(charts: Sequence[Chart], path: Path) -> Path | None:
    """Loss and held-back PQ over the steps, in the colours of the runs. None where no training log is at hand."""
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
    """Label → line."""
    axes.set(xlabel="step", ylabel=chart.title, xlim=(chart.x.low, chart.x.high), ylim=(chart.y.low, chart.y.high))
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    drawn = {}
    for curve in chart.curves:
        marker = "o" if len(curve.points) <= MARKED else ""
        xs, ys = zip(*curve.points, strict=True)
        (drawn[curve.label],) = axes.plot(xs, ys, color=PALETTE[curve.k], linewidth=1.4, marker=marker, markersize=3)
    return drawn
