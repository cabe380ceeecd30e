"""Accuracy against what it costs: which models another one beats in both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.report.page.plot import Axis, linear, logarithmic
from bench.report.page.runs import RunView


@dataclass(frozen=True)
class Point:
    """A run: its cost, its PQ in percent, and whether another one costs no more and is no worse, and better in one."""

    k: int
    label: str
    cost: float
    pq: float
    dominated: bool


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
        "multiply-adds", "Multiply-adds an image", "a run of a torch model counts them at its end; repeat it by",
        lambda v: v.row["multiply_adds"], "bench run --again",
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
    x_axis = logarithmic([p.cost for p in points]) if points else None
    y_axis = linear([p.pq for p in points]) if points else None
    return Scatter(cost.name, cost.title, x_axis, y_axis, points, without, cost.hint, cost.command)


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    """(cost, PQ): no worse in both, and not the same."""
    return one[0] <= other[0] and one[1] >= other[1] and tuple(one) != tuple(other)
