"""Masks of polygons and ellipses in integer arithmetic: a mask, and the offset (y0, x0) of its box in the frame."""

from math import sqrt

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Points = list[tuple[int, int]]  # (x, y) in 1/16 px
UNIT = 16  # steps a pixel

# A circle of radius 256 as a 16-gon; constants, since sine and cosine differ between machines.
CIRCLE = (
    (256, 0), (237, 98), (181, 181), (98, 237), (0, 256), (-98, 237), (-181, 181), (-237, 98),
    (-256, 0), (-237, -98), (-181, -181), (-98, -237), (0, -256), (98, -237), (181, -181), (237, -98),
)  # fmt: skip


def box(points: Points, height: int, width: int) -> tuple[int, int, int, int] | None:
    """Return the bounding box (y0, y1, x0, x1) in px, clipped to the frame; None if it is empty."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x0, x1 = max(0, min(xs) // UNIT), min(width, max(xs) // UNIT + 1)
    y0, y1 = max(0, min(ys) // UNIT), min(height, max(ys) // UNIT + 1)
    return (y0, y1, x0, x1) if y0 < y1 and x0 < x1 else None


def polygon(points: Points, height: int, width: int) -> tuple[Bools, int, int] | None:
    """Fill by the even-odd rule, testing pixel centres. Returns mask, y0 and x0, or None if the box is empty."""
    frame = box(points, height, width)
    if frame is None:
        return None
    y0, y1, x0, x1 = frame
    edges = [(*a, *b) for a, b in zip(points, points[1:] + points[:1], strict=True) if a[1] != b[1]]
    if not edges:
        return None
    ax, ay, bx, by = np.array(edges, dtype=np.int64).T[:, :, None]
    yc = np.arange(y0, y1, dtype=np.int64)[None] * UNIT + UNIT // 2  # centres of the rows
    # Half-open in y, so that a row through a vertex crosses one of its two edges, and neighbours leave no gap.
    active = (np.minimum(ay, by) <= yc) & (yc < np.maximum(ay, by))
    cross = ax + (yc - ay) * (bx - ax) // (by - ay)
    first = np.where(active, (cross + UNIT // 2) // UNIT, width + 1)  # (edges, rows): inside from here on
    columns = np.arange(x0, x1, dtype=np.int64)
    # Even-odd: a pixel is inside if an odd number of edges lies to its left.
    return np.logical_xor.reduce(columns >= first[:, :, None], axis=0), y0, x0


def ellipse(cx: int, cy: int, rx: int, ry: int, height: int, width: int,
            ragged: Ints | None = None) -> tuple[Bools, int, int] | None:  # fmt: skip
    """Return the mask of an ellipse (1/16 px); `ragged` (H, W) moves its edge, in 1/256. None if its box is empty."""
    # At least a pixel wide, or distant ones would vanish between the centres.
    rx, ry = max(rx, UNIT // 2), max(ry, UNIT // 2)
    frame = box([(cx - rx, cy - ry), (cx + rx, cy + ry)], height, width)
    if frame is None:
        return None
    y0, y1, x0, x1 = frame
    dx = np.arange(x0, x1, dtype=np.int64) * UNIT + UNIT // 2 - cx
    dy = np.arange(y0, y1, dtype=np.int64) * UNIT + UNIT // 2 - cy
    distance = (dx * dx * 256 // (rx * rx))[None] + (dy * dy * 256 // (ry * ry))[:, None]
    limit = 256 if ragged is None else 256 + ragged[y0:y1, x0:x1]
    return distance <= limit, y0, x0


def circle(u: float, v: float, radius: float) -> list[tuple[float, float]]:
    """Return a circle as a 16-gon, in metres."""
    return [(u + radius * x / 256, v + radius * y / 256) for x, y in CIRCLE]


def bar(a: tuple[float, float], b: tuple[float, float], width: float) -> list[tuple[float, float]]:
    """Return a thick line as four corners, in metres."""
    du, dv = b[0] - a[0], b[1] - a[1]
    length = sqrt(du * du + dv * dv) or 1.0
    ou, ov = -dv / length * width / 2, du / length * width / 2
    return [(a[0] + ou, a[1] + ov), (b[0] + ou, b[1] + ov), (b[0] - ou, b[1] - ov), (a[0] - ou, a[1] - ov)]
