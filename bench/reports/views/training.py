"""Training curves, from the log beside the weights of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.analysis.contrasts import Arm
from bench.io.files import iter_lines, loads_strict
from bench.io.hashing import folder_digest
from bench.reports.views.runs import RunView
from bench.results.records import ModelRecord, PredictionsRecord

Row = Mapping[str, Any]
LINE_STYLES = ("-", "--", ":", "-.")  # of the seeds of an arm, as matplotlib writes them; further seeds have the last


@dataclass(frozen=True)
class Curve:
    """Logged (step, value) points of one training; `color_index` is its run or arm."""

    color_index: int
    label: str
    points: tuple[tuple[float, float], ...]
    style: str = "-"


@dataclass(frozen=True)
class Chart:
    name: str
    title: str
    curves: tuple[Curve, ...]


def _loss(row: Row) -> float | None:
    return None if row.get("loss") is None else float(row["loss"])


def _held_back_loss(row: Row) -> float | None:
    terms = row.get("held_back_terms") or {}
    return float(sum(terms.values())) if terms else None


def _pq_percent(row: Row) -> float | None:
    return None if row.get("PQ") is None else 100.0 * float(row["PQ"])


CHARTS: tuple[tuple[str, str, Callable[[Row], float | None]], ...] = (
    ("loss", "Training loss", _loss),
    ("held-back-loss", "Loss on held-back images", _held_back_loss),
    ("PQ", "PQ on held-back images (percent)", _pq_percent),
)


def charts(views: Sequence[RunView]) -> list[Chart]:
    """Return the charts of the runs with a training log."""
    return _charts([(view.color_index, view.label, "-", training_log(view.run.meta.model)) for view in views])


def seed_charts(arms: Sequence[Arm]) -> list[Chart]:
    """Return the charts of a contrast's arms; colours are the arms', line styles the seeds'."""
    logs = []
    for k, arm in enumerate(arms):
        for n, (seed, run) in enumerate(zip(arm.seeds, arm.runs, strict=True)):
            style = LINE_STYLES[min(n, len(LINE_STYLES) - 1)]
            logs.append((k, f"{arm.name}, seed {seed}", style, training_log(run.meta.model)))
    return _charts(logs)


def _charts(logs: Sequence[tuple[int, str, str, Sequence[Row]]]) -> list[Chart]:
    """Return one chart for each kind of value that is logged anywhere."""
    found = []
    for name, title, value in CHARTS:
        curves = []
        for k, label, style, log in logs:
            points = tuple((float(row["step"]), y) for row in log if (y := value(row)) is not None)
            if points:
                curves.append(Curve(k, label, points, style))
        if curves:
            found.append(Chart(name, title, tuple(curves)))
    return found


def training_log(model: ModelRecord | PredictionsRecord) -> Sequence[Row]:
    """Return the lines of training.jsonl beside a run's weights; empty without a log or if the weights changed."""
    if isinstance(model, PredictionsRecord) or not model.source or not model.local:
        return []
    shipped = Path(str(files("bench.adapters"))) / model.source
    folder = shipped if shipped.is_dir() else Path(model.source)
    log = folder / "training.jsonl"
    # A log beside other weights would show the curve of another training.
    if not log.is_file() or folder_digest(folder, model.files) != model.weights:
        return []
    rows: list[Any] = []
    with suppress(OSError, ValueError):  # an interrupted training may leave an incomplete last line
        rows.extend(loads_strict(line) for line in iter_lines(log))
    return [row for row in rows if isinstance(row, dict) and "step" in row]
