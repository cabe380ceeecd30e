"""Plots of suites: PQ over strengths of corruptions, and PQ, latency and memory over swept settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.analysis.robustness import Robustness
from bench.analysis.sweep import AS_IT_IS, Sweep, SweepRow
from bench.datasets.corruptions import Corruption
from bench.metrics.bootstrap import Estimate
from bench.reports.figures.plot import PALETTE, STYLE, Plot, short

WIDTH = 5.0  # inches, to be read on a phone
ACROSS = 3  # panels beside each other
MARKS = "osD^vP*X"

Point = tuple[float, Estimate]


@matplotlib.rc_context(STYLE)
def strength_curves(found: Robustness) -> Plot:
    """Draw a panel for each corruption: PQ over its strength, from the clean PQ at 0, with intervals."""
    down = math.ceil(len(found.corruptions) / ACROSS)
    figure = Figure(figsize=(WIDTH, 0.3 + 1.35 * down), layout="constrained")
    plot = Plot("strengths", "PQ over the strength of each corruption, percent", figure)
    panels = figure.subplots(down, ACROSS, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, name in zip(panels, found.corruptions, strict=False):
        for k, one in enumerate(found.models):
            cells = [(float(s), one.cells[str(Corruption(name, s))]) for s in sorted(found.strengths)]
            _curve(plot, axes, [(0.0, one.clean), *cells], k, f"{one.name}, {name}", 100)
        axes.set_title(name, fontsize=9)
        axes.set_xticks([0, *sorted(found.strengths)])
        axes.grid()
    for axes in panels[len(found.corruptions) :]:
        axes.set_visible(False)
    panels[0].set_ylim(bottom=0)
    figure.supxlabel("strength (0 is clean)", fontsize=9)
    figure.supylabel("PQ (percent)", fontsize=9)
    _explain(plot, [one.name for one in found.models])
    return plot


def sweep_curves(found: Sweep) -> list[Plot]:
    """Return PQ and, if measured, latency and peak memory over each swept key with at least two numbers."""
    measures: list[tuple[str, str, Callable[[SweepRow], Estimate | None], float]] = [
        ("PQ", "PQ (percent)", lambda row: row.PQ, 100),
        ("latency", "median latency (ms)", lambda row: row.latency, 1000),
        (
            "memory",
            "peak memory (MB)",
            lambda row: Estimate(row.peak_bytes, None, None) if row.peak_bytes else None,
            1e-6,
        ),
    ]
    return [
        sweep_curve(found, key, f"{name}-{key.replace('.', '-')}", title, of, scale)
        for key in found.keys
        for name, title, of, scale in measures
        if sum(1 for row in found.rows if _number(row, key) is not None and of(row) is not None) > 1
    ]


@matplotlib.rc_context(STYLE)
def sweep_curve(
    found: Sweep, key: str, name: str, title: str, of: Callable[[SweepRow], Estimate | None], scale: float
) -> Plot:
    """Draw a measure over one swept key: a line for each model and combination of the other keys."""
    plot = Plot(name, f"{title} over {key}", Figure(figsize=(WIDTH, 2.6), layout="constrained"))
    axes = plot.figure.subplots()
    lines: dict[str, list[Point]] = {}
    for row in found.rows:
        at, estimate = _number(row, key), of(row)
        if at is None or estimate is None:
            continue
        others = " ".join(f"{other}={value}" for other, value in row.settings.items() if other != key)
        lines.setdefault(f"{row.model} {others}".strip(), []).append((at, estimate))
    for k, (label, points) in enumerate(lines.items()):
        _curve(plot, axes, sorted(points, key=lambda point: point[0]), k, label, scale)
    axes.set(xlabel=key, ylabel=title)
    axes.set_ylim(bottom=0)
    axes.grid()
    _explain(plot, list(lines))
    return plot


def _number(row: SweepRow, key: str) -> float | None:
    """Return the value of a key of a row if it is a number."""
    value = row.settings.get(key) if row.name != AS_IT_IS else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _curve(plot: Plot, axes: Axes, points: Sequence[Point], k: int, label: str, scale: float) -> None:
    """Draw a line with its band; points without a value are left out."""
    known = [(x, e.value * scale, *_ends(e, scale)) for x, e in points if e.value is not None]
    if not known:
        return
    x, y, low, high = zip(*known, strict=True)
    style = _style(k)
    axes.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
    axes.plot(x, y, lw=1.3, ls=style["ls"], color=style["color"])
    for at, value, bottom, top in known:
        (mark,) = axes.plot(at, value, style["marker"], ms=3.5, color=style["color"])
        plot.tip(mark, f"{label} at {at:g}: {value:.1f} ({bottom:.1f} to {top:.1f})")


def _ends(estimate: Estimate, scale: float) -> Iterator[float]:
    value = estimate.value or 0.0
    return (scale * (value if end is None else end) for end in (estimate.low, estimate.high))


def _style(k: int) -> dict[str, Any]:
    dashes = ("-", "--", ":")[k // len(PALETTE) % 3]
    return {"color": PALETTE[k % len(PALETTE)], "marker": MARKS[k % len(MARKS)], "ls": dashes}


def _explain(plot: Plot, labels: Sequence[str]) -> None:
    marks: list[Artist] = [Line2D([], [], lw=1.3, ms=4, **_style(k)) for k in range(len(labels))]
    band = Patch(color="#555555", alpha=0.18, linewidth=0)
    plot.explain([*marks, band], [*(short(label) for label in labels), "band: 95 % interval"])
