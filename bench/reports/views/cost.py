"""PQ against cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.reports.views.runs import RunView


@dataclass(frozen=True)
class Point:
    """A run with its cost and its PQ in percent.

    `dominated` if another run costs no more, has no lower PQ, and is better in one of the two.
    """

    color_index: int
    label: str
    cost: float
    pq: float
    dominated: bool


@dataclass(frozen=True)
class Cost:
    """One kind of cost, and a function that returns it for a run (None if unknown).

    `hint` and `command` explain how to measure it, `sample` returns the number of images that it was measured on.
    """

    name: str
    title: str
    unit: str
    hint: str
    of: Callable[[RunView], float | None]
    command: str = ""
    sample: Callable[[RunView], str] = lambda view: ""


@dataclass(frozen=True)
class Scatter:
    """PQ against one cost. `without` lists the runs of unknown cost."""

    cost: Cost
    points: tuple[Point, ...]
    without: tuple[str, ...]


COSTS = (
    Cost(
        "parameters", "Parameters", "", "predictions made elsewhere have no known model",
        lambda view: view.row["parameters"],
    ),
    Cost(
        "multiply-adds", "Multiply-adds an image", "", "predictions have none, and a model's are counted by",
        lambda view: view.row["multiply_adds"], "bench run --overwrite",
    ),
    Cost(
        "latency", "Latency, median of one image", "s", "it is shown only where it was measured, by",
        lambda view: view.timing.p50 if view.timing else None, "bench run --timing",
        lambda view: f" (n = {view.timing.n})" if view.timing else "",
    ),
)  # fmt: skip


def scatters(views: Sequence[RunView]) -> list[Scatter]:
    return [_scatter(cost, views) for cost in COSTS]


def _scatter(cost: Cost, views: Sequence[RunView]) -> Scatter:
    known = [(view, cost.of(view), view.score.PQ.all.PQ) for view in views]
    told = [(view, float(x), 100 * y) for view, x, y in known if x and y is not None]
    without = tuple(view.label for view, x, y in known if not x or y is None)
    points = tuple(
        Point(view.color_index, view.label + cost.sample(view), x, y, any(_beats(other, (x, y)) for _, *other in told))
        for view, x, y in told
    )
    return Scatter(cost, points, without)


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and tuple(one) != tuple(other)
