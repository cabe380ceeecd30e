"""Training curves, from the log beside the weights of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.io.files import iter_lines, loads_strict
from bench.io.hashing import folder_digest
from bench.reports.views.axes import Axis, linear
from bench.reports.views.runs import RunView
from bench.results.records import ModelRecord, PredictionsRecord

Log = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Curve:
    color_index: int
    label: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chart:
    title: str
    x: Axis
    y: Axis
    curves: tuple[Curve, ...]

    def path(self, curve: Curve) -> str:
        """Return SVG polyline points in a 100 × 100 box with the origin at the top left."""
        return " ".join(f"{self.x.place(x):g},{100 - self.y.place(y):g}" for x, y in curve.points)


def charts(views: Sequence[RunView]) -> list[Chart]:
    """Return charts of loss and held-back PQ for the runs with a training log."""
    logs = [(view, log) for view in views if (log := training_log(view.run.meta.model))]
    kinds = (("Training loss", "loss", 1.0), ("PQ on held-back images (percent)", "PQ", 100.0))
    return [chart for title, key, unit in kinds if (chart := _chart(title, key, unit, logs)) is not None]


def _chart(title: str, key: str, unit: float, logs: Sequence[tuple[RunView, Log]]) -> Chart | None:
    curves = tuple(
        Curve(view.color_index, view.label, points)
        for view, log in logs
        if (points := tuple((float(row["step"]), unit * row[key]) for row in log if row.get(key) is not None))
    )
    return chart_of(title, curves)


def chart_of(title: str, curves: Sequence[Curve]) -> Chart | None:
    """Return the curves on axes fitted to their range, or None without curves."""
    if not curves:
        return None
    xs, ys = zip(*(point for curve in curves for point in curve.points), strict=True)
    return Chart(title, linear(xs), linear(ys, from_zero=False), tuple(curves))


def training_log(model: ModelRecord | PredictionsRecord) -> Log:
    """Return the lines of training.jsonl beside a run's weights; empty without a log or if the weights changed."""
    if isinstance(model, PredictionsRecord) or not model.source or not model.local:
        return []
    shipped = Path(str(files("bench.adapters"))) / model.source
    folder = shipped if shipped.is_dir() else Path(model.source)
    log = folder / "training.jsonl"
    if not log.is_file() or folder_digest(folder, model.files) != model.weights:
        return []
    rows: list[Any] = []
    with suppress(OSError, ValueError):  # what a training that was cut short left unfinished ends the curve
        rows.extend(loads_strict(line) for line in iter_lines(log))
    return [row for row in rows if isinstance(row, dict) and "step" in row]
