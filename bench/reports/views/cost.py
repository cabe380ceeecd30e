"""PQ against cost, with label positions for scatter plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.reports.views.axes import Axis, linear, logarithmic
from bench.reports.views.runs import RunView

Side = Literal["right", "left", "above", "below"]
Box = tuple[float, float, float, float]  # left, bottom, right, top, percent of the plot

LETTER, LINE, MARK = 2.6, 7.0, 2.5  # the plot at its narrowest: 320 px wide, 240 high


def label_sides(points: Sequence[tuple[float, float]], labels: Sequence[str]) -> list[Side]:
    """Return for each point (percent of the plot) the first side where its label fits, else the default side."""
    taken = [_mark(x, y) for x, y in points]
    found: list[Side] = []
    for (x, y), label, own in zip(points, labels, list(taken), strict=True):
        wanted: list[Side] = ["right", "left", "above", "below"] if x <= 55 else ["left", "right", "above", "below"]
        others = [box for box in taken if box != own]
        free = [side for side in wanted if _is_free(_box(x, y, label, side), others)]
        found.append(free[0] if free else wanted[0])
        taken.append(_box(x, y, label, found[-1]))
    return found


def _mark(x: float, y: float) -> Box:
    return x - MARK, y - MARK, x + MARK, y + MARK


def _box(x: float, y: float, label: str, side: Side) -> Box:
    width, gap = LETTER * len(label), MARK + 1
    left = {"right": x + gap, "left": x - gap - width}.get(side, x - width / 2)
    bottom = {"above": y + gap, "below": y - gap - LINE}.get(side, y - LINE / 2)
    return left, bottom, left + width, bottom + LINE


def _is_free(box: Box, others: Sequence[Box]) -> bool:
    left, bottom, right, top = box
    apart = all(right <= b[0] or b[2] <= left or top <= b[1] or b[3] <= bottom for b in others)
    return apart and left >= -MARK and right <= 100 + MARK and bottom >= -LINE


@dataclass(frozen=True)
class Point:
    """A run with its cost and its PQ in percent. `side` is the side of its label.

    `dominated` if another run costs no more, has no lower PQ, and is better in one of the two.
    """

    color_index: int
    label: str
    cost: float
    pq: float
    dominated: bool
    side: Side = "right"


@dataclass(frozen=True)
class Scatter:
    """PQ against one cost. `without` lists the runs of unknown cost; `hint` and `command` explain how to measure it."""

    name: str
    title: str
    x: Axis | None
    y: Axis | None
    points: tuple[Point, ...]
    without: tuple[str, ...]
    hint: str
    command: str = ""


@dataclass(frozen=True)
class Cost:
    """One kind of cost, and a function that returns it for a run (None if unknown)."""

    name: str
    title: str
    hint: str
    of: Callable[[RunView], float | None]
    command: str = ""


COSTS = (
    Cost("parameters", "Parameters", "predictions made elsewhere have no known model", lambda v: v.row["parameters"]),
    Cost(
        "multiply-adds", "Multiply-adds an image", "predictions have none, and a model's are counted anew by",
        lambda v: v.row["multiply_adds"], "bench run --overwrite",
    ),
    Cost(
        "latency", "Latency, median of one image (ms)", "it is shown only where it was measured, by",
        lambda v: 1000 * v.latency.p50 if v.latency else None, "bench run --timing",
    ),
)  # fmt: skip


def scatters(views: Sequence[RunView]) -> list[Scatter]:
    return [_scatter(cost, views) for cost in COSTS]


def _scatter(cost: Cost, views: Sequence[RunView]) -> Scatter:
    known = [(view, cost.of(view), view.score.PQ.all.PQ) for view in views]
    told = [(view, float(x), 100 * y) for view, x, y in known if x and y is not None]
    without = tuple(view.label for view, x, y in known if not x or y is None)
    points = tuple(
        Point(view.color_index, view.label, x, y, any(_beats(other, (x, y)) for _, *other in told))
        for view, x, y in told
    )
    if not points:
        return Scatter(cost.name, cost.title, None, None, (), without, cost.hint, cost.command)
    x_axis, y_axis = logarithmic([p.cost for p in points]), linear([p.pq for p in points])
    free = label_sides([(x_axis.place(p.cost), y_axis.place(p.pq)) for p in points], [p.label for p in points])
    placed = tuple(replace(point, side=side) for point, side in zip(points, free, strict=True))
    return Scatter(cost.name, cost.title, x_axis, y_axis, placed, without, cost.hint, cost.command)


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and tuple(one) != tuple(other)
