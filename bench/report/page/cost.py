"""Accuracy against what it costs: which models another one beats in both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.report.page.placing import Side, sides
from bench.report.page.plot import Axis, linear, logarithmic
from bench.report.page.runs import RunView


@dataclass(frozen=True)
class Point:
    """A run: its cost, its PQ in percent, whether another one costs no more and is no worse, and better in one; and on
    which side of it its label is free."""

    k: int
    label: str
    cost: float
    pq: float
    dominated: bool
    side: Side = "right"


@dataclass(frozen=True)
class Scatter:
    """PQ against one cost; `without` are the runs that do not tell theirs, `hint` and `command` say why and how to."""

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
    """One kind of cost, and where a run tells it."""

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
    """One for each kind of cost, also where no run tells it."""
    return [_scatter(cost, views) for cost in COSTS]


def _scatter(cost: Cost, views: Sequence[RunView]) -> Scatter:
    known = [(view, cost.of(view), view.score["PQ"]["all"]["PQ"]) for view in views]
    told = [(view, float(x), 100 * y) for view, x, y in known if x and y is not None]
    without = tuple(view.label for view, x, y in known if not x or y is None)
    points = tuple(
        Point(view.k, view.label, x, y, any(_beats(other, (x, y)) for _, *other in told)) for view, x, y in told
    )
    if not points:
        return Scatter(cost.name, cost.title, None, None, (), without, cost.hint, cost.command)
    x_axis, y_axis = logarithmic([p.cost for p in points]), linear([p.pq for p in points])
    free = sides([(x_axis.place(p.cost), y_axis.place(p.pq)) for p in points], [p.label for p in points])
    placed = tuple(replace(point, side=side) for point, side in zip(points, free, strict=True))
    return Scatter(cost.name, cost.title, x_axis, y_axis, placed, without, cost.hint, cost.command)


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    """(cost, PQ): no worse in both, and not the same."""
    return one[0] <= other[0] and one[1] >= other[1] and tuple(one) != tuple(other)
