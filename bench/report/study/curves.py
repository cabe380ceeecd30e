"""How the arms of a contrast learned: loss, loss on the scenes held back, and PQ there, on common axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.page.training import Chart, Curve, chart_of, training_log
from bench.study.contrasts import Arm

Row = Mapping[str, Any]
DASHES = ("", "6 4", "2 3", "8 3 2 3")  # a seed's line; further ones are drawn as the last


@dataclass(frozen=True)
class SeedCurve:
    """A seed's curve; `dash` tells seeds of an arm apart, colour the arms."""

    curve: Curve
    seed: int
    dash: str


@dataclass(frozen=True)
class SeedChart:
    """A chart whose curves know their seed."""

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
    """The charts of the arms of a contrast; one that no log tells of is left out."""
    logs = [
        (k, arm.name, seed, dash, training_log(run.meta["model"]))
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
