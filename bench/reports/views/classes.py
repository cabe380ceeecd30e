"""Class-wise metrics as table cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.reports.views.runs import Interval, RunView

MEASURES = {
    "PQ": "PQ", "SQ": "SQ", "RQ": "RQ",
    "IoU_panoptic": "IoU, panoptic map", "IoU_semantic": "IoU, semantic output",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A value of one run as a fraction, with its interval; None if undefined."""

    k: int
    label: str
    value: float | None
    interval: Interval | None = None

    @property
    def tint(self) -> str:
        """CSS colours of the value, background and text."""
        if self.value is None:
            return ""
        import matplotlib

        # cividis is made to look alike with and without colour vision deficiency (Nuñez et al., 2018).
        red, green, blue, _ = matplotlib.colormaps["cividis"](self.value, bytes=True)
        # Luma of BT.601; dark text above the middle of the range.
        ink = "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 125 else "#fff"
        return f"background:rgb({red},{green},{blue});color:{ink}"


@dataclass(frozen=True)
class ClassRow:
    name: str
    isthing: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Measure:
    """A measure of every class; `name` is a column of `Run.to_frame`."""

    name: str
    title: str
    rows: tuple[ClassRow, ...]

    def group(self, isthing: bool) -> list[ClassRow]:
        return [row for row in self.rows if row.isthing == isthing]


def measures(views: Sequence[RunView]) -> list[Measure]:
    """Return PQ, SQ, RQ and both kinds of IoU of every class, without measures that no run has."""
    frames = [view.run.to_frame().astype(object) for view in views]
    frames = [frame.where(frame.notna(), None) for frame in frames]
    found = []
    for measure, title in MEASURES.items():
        rows = tuple(
            ClassRow(
                str(frames[0]["name"][i]),
                bool(frames[0]["isthing"][i]),
                tuple(
                    Cell(v.color_index, v.label, frame[measure][i], _interval(v, measure, frame["name"][i]))
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
