"""The class-wise numbers of runs side by side: rows of bars, and a table of tints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib

from bench.report.figures import MEASURES
from bench.report.frame import class_frame
from bench.report.page.runs import Interval, RunView


@dataclass(frozen=True)
class Cell:
    """A number of one run, as a fraction, with its interval; None where undefined."""

    k: int
    label: str
    value: float | None
    interval: Interval | None = None

    @property
    def tint(self) -> str:
        """Cividis, which reads the same with every kind of colour vision; darker text where it is light."""
        if self.value is None:
            return ""
        red, green, blue, _ = matplotlib.colormaps["cividis"](self.value, bytes=True)
        ink = "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 125 else "#fff"
        return f"background:rgb({red},{green},{blue});color:{ink}"


@dataclass(frozen=True)
class ClassRow:
    """A class in one measure."""

    name: str
    isthing: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Measure:
    """A measure of every class; `name` is a key of a class frame."""

    name: str
    title: str
    rows: tuple[ClassRow, ...]

    def group(self, isthing: bool) -> list[ClassRow]:
        return [row for row in self.rows if row.isthing == isthing]


def measures(views: Sequence[RunView]) -> list[Measure]:
    """PQ, SQ, RQ and both kinds of IoU, those that a run has, in the order of the space."""
    frames = [class_frame(view.score).astype(object) for view in views]
    frames = [frame.where(frame.notna(), None) for frame in frames]
    found = []
    for measure, title in MEASURES.items():
        rows = tuple(
            ClassRow(
                str(frames[0]["name"][i]),
                bool(frames[0]["isthing"][i]),
                tuple(
                    Cell(v.k, v.label, frame[measure][i], _interval(v, measure, frame["name"][i]))
                    for v, frame in zip(views, frames, strict=True)
                ),
            )
            for i in range(len(frames[0]))
        )
        if any(cell.value is not None for row in rows for cell in row.cells):
            found.append(Measure(measure, title, rows))
    return found


def _interval(view: RunView, measure: str, name: str) -> Interval | None:
    return view.interval("classes", name) if measure == "PQ" else None
