"""Where the labels of a plot's points go, so that none covers another or a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Side = Literal["right", "left", "above", "below"]
Box = tuple[float, float, float, float]  # left, bottom, right, top, percent of the plot

LETTER, LINE, MARK = 2.6, 7.0, 2.5  # the plot at its narrowest: 320 px wide, 240 high


def sides(points: Sequence[tuple[float, float]], labels: Sequence[str]) -> list[Side]:
    """For each point (percent of the plot) the first side where its label is free; where none is, the usual one."""
    taken = [_mark(x, y) for x, y in points]
    found: list[Side] = []
    for (x, y), label, own in zip(points, labels, list(taken), strict=True):
        wanted: list[Side] = ["right", "left", "above", "below"] if x <= 55 else ["left", "right", "above", "below"]
        others = [box for box in taken if box != own]
        free = [side for side in wanted if _is_free(_box(x, y, label, side), others)]
        found.append(free[0] if free else wanted[0])
        taken.append(_box(x, y, label, found[-1]))
    return found


def _mark(x: float, y: float) -> Box:
    return x - MARK, y - MARK, x + MARK, y + MARK


def _box(x: float, y: float, label: str, side: Side) -> Box:
    width, gap = LETTER * len(label), MARK + 1
    left = {"right": x + gap, "left": x - gap - width}.get(side, x - width / 2)
    bottom = {"above": y + gap, "below": y - gap - LINE}.get(side, y - LINE / 2)
    return left, bottom, left + width, bottom + LINE


def _is_free(box: Box, others: Sequence[Box]) -> bool:
    """Within the plot's sides, and off all others."""
    left, bottom, right, top = box
    apart = all(right <= b[0] or b[2] <= left or top <= b[1] or b[3] <= bottom for b in others)
    return apart and left >= -MARK and right <= 100 + MARK and bottom >= -LINE
