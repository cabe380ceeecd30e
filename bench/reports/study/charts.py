"""Training curves by seed and the forest plot of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.contrasts import Arm, Verdict
from bench.reports.views.axes import Axis, linear
from bench.reports.views.training import Chart, Curve, chart_of, training_log


@dataclass(frozen=True)
class Mark:
    """One row of a forest plot, as percent of the axis: difference, interval, and ± noise threshold."""

    verdict: Verdict
    dot: float
    low: float
    high: float
    noise: tuple[float, float] | None


@dataclass(frozen=True)
class Forest:
    axis: Axis
    zero: float
    marks: tuple[Mark, ...]


def forest(said: Sequence[Verdict]) -> Forest | None:
    if not said:
        return None
    reach = max(100 * max(abs(x or 0.0) for x in (v.delta.low, v.delta.high, v.yardstick)) for v in said)
    axis = linear([-reach, reach] if reach else [-1.0, 1.0], from_zero=False)
    return Forest(axis, axis.place(0.0), tuple(_mark(v, axis) for v in said))


def _mark(said: Verdict, axis: Axis) -> Mark:
    dot, low, high = (axis.place(100 * (x or 0.0)) for x in (said.delta.value, said.delta.low, said.delta.high))
    noise = None
    if said.yardstick is not None:
        noise = axis.place(-100 * said.yardstick), axis.place(100 * said.yardstick)
    return Mark(said, dot, low, high, noise)


Row = Mapping[str, Any]
DASHES = ("", "6 4", "2 3", "8 3 2 3")  # a seed's line; further ones are drawn as the last


@dataclass(frozen=True)
class SeedCurve:
    """Curve of one seed; `dash` distinguishes the seeds of an arm, colour the arms."""

    curve: Curve
    seed: int
    dash: str


@dataclass(frozen=True)
class SeedChart:
    chart: Chart
    curves: tuple[SeedCurve, ...]


def held_back_loss(row: Row) -> float | None:
    terms = row.get("held_back_terms") or {}
    return float(sum(terms.values())) if terms else None


def pq_percent(row: Row) -> float | None:
    return None if row.get("PQ") is None else 100.0 * float(row["PQ"])


def loss(row: Row) -> float | None:
    return None if row.get("loss") is None else float(row["loss"])


CHARTS: tuple[tuple[str, Callable[[Row], float | None]], ...] = (
    ("Training loss", loss),
    ("Loss on scenes held back", held_back_loss),
    ("PQ on scenes held back (percent)", pq_percent),
)


def contrast_charts(arms: Sequence[Arm]) -> list[SeedChart]:
    """Return the charts of a contrast's arms, without charts that have no logged values."""
    logs = [
        (k, arm.name, seed, dash, training_log(run.meta.model))
        for k, arm in enumerate(arms)
        for seed, run, dash in zip(arm.seeds, arm.runs, [*DASHES, *DASHES[-1:] * len(arm.seeds)], strict=False)
    ]
    return [made for title, value in CHARTS if (made := _chart(title, value, logs)) is not None]


def _chart(title: str, value: Callable[[Row], float | None], logs: Sequence[Any]) -> SeedChart | None:
    curves = []
    for k, name, seed, dash, log in logs:
        points = tuple((float(row["step"]), y) for row in log if (y := value(row)) is not None)
        if points:
            curves.append(SeedCurve(Curve(k, f"{name}, seed {seed}", points), seed, dash))
    chart = chart_of(title, [one.curve for one in curves])
    return None if chart is None else SeedChart(chart, tuple(curves))
