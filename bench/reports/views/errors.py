"""Error types, segment sizes and class confusions for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.metrics.pq import GROUPS
from bench.reports.views.classes import Cell
from bench.reports.views.runs import RunView

LARGEST_MATRIX = 40  # classes; beyond, the most frequent confusions are listed alone
LISTED = 12


@dataclass(frozen=True)
class Stack:
    """PQ and the loss by error type, as fractions that add up to 1."""

    name: str
    pq: float
    losses: tuple[tuple[str, float], ...]


def group_stacks(views: Sequence[RunView]) -> list[Stack]:
    """Return one stack per run for all, things and stuff, where defined."""
    return [
        Stack(f"{view.label}, {group}", view.views["errors"][group]["PQ"], tuple(losses))
        for group in GROUPS
        for view in views
        if (losses := view.losses(group))
    ]


def class_stacks(view: RunView) -> list[Stack]:
    """Return one stack per class that occurs, worst PQ first."""
    rows = view.views["errors"]["per_class"] if "errors" in view.views else []
    stacks = [Stack(row["name"], row["PQ"], tuple(row["loss"].items())) for row in rows if row["PQ"] is not None]
    return sorted(stacks, key=lambda stack: (stack.pq, stack.name))


def sizes(views: Sequence[RunView]) -> list[tuple[str, list[tuple[str, int, list[Cell]]]]]:
    """Return for each kind of size its title and, per bin, name, number of ground-truth segments and PQ of each run."""
    having = [view for view in views if "by_size" in view.views]
    titles = {"coco": "Area in pixels (small < 32² ≤ medium < 96² ≤ large)", "relative": "Share of the image"}
    return [
        (title, [_bin(having, kind, b) for b in range(len(having[0].views["by_size"][kind]))])
        for kind, title in titles.items()
        if having
    ]


def _bin(views: Sequence[RunView], kind: str, b: int) -> tuple[str, int, list[Cell]]:
    rows = [view.views["by_size"][kind][b] for view in views]
    cells = [Cell(v.color_index, v.label, row["PQ"]["all"]["PQ"]) for v, row in zip(views, rows, strict=True)]
    return rows[0]["bin"], rows[0]["TP"] + rows[0]["FN"], cells


def confusions(view: RunView) -> dict[str, Any] | None:
    """Return the confusion matrix by row shares and the largest single confusions, or None if not available.

    Taken from the panoptic map if there is one, else from the semantic map.
    """
    found: Mapping[str, Any] = view.views.get("confusion", {})
    kind = next((name for name in ("panoptic", "semantic") if name in found), None)
    if kind is None:
        return None
    names, rows = found[kind]["classes"], found[kind]["per_class"]
    taken = [
        (row["name"], other, pixels, pixels / row["truth_px"])
        for row in rows
        for other, pixels in row["confused_with"].items()
    ]
    matrix = [_shares(row, names) for row in rows if row["truth_px"]] if len(rows) <= LARGEST_MATRIX else []
    return {
        "kind": kind,
        "names": names,
        "matrix": matrix,
        "largest": sorted(taken, key=lambda item: (-item[2], item[0]))[:LISTED],
    }


def _shares(row: Mapping[str, Any], names: Sequence[str]) -> tuple[str, list[Cell]]:
    shares = {name: pixels / row["truth_px"] for name, pixels in row["confused_with"].items()}
    shares[row["name"]] = row["recall"]
    return row["name"], [Cell(0, name, shares.get(name, 0.0)) for name in names]
