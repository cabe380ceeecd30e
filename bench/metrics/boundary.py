"""Boundary PQ (Cheng et al., "Boundary IoU", CVPR 2021): PQ with the minimum of mask IoU and boundary IoU.

The boundary of a segment is its pixels within distance d of a pixel outside it, beyond the image border included. d is
2 % of the image diagonal; distances are Chebyshev's, as the published code erodes d times by 3 x 3. Void of the truth
is excluded from both unions. Whether a false positive is ignored depends on whole masks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.columns import Columns, counted
from bench.metrics.matching import MatchedRows, Protocol, pair_ious, resolve_matches, scored_pairs
from bench.metrics.pq import PQStat, PQTable, by_group, mean, pq_stats, pq_table, sum_stats
from bench.types import Categories, IdMap, Panoptic

BOUNDARY_VERSION = 1  # goes up with every change that moves a number
DILATION = 0.02  # of the image's diagonal
INSIDE = -1


def dilation_px(size: tuple[int, int]) -> int:
    """Return d in pixels for an image of (H, W); at least 1."""
    return max(1, round(DILATION * math.sqrt(size[0] ** 2 + size[1] ** 2)))


def boundary_map(id_map: IdMap, reach: int) -> IdMap:
    """Return (H, W) dense ids of boundary pixels. The interior of a segment is `INSIDE`, void stays 0."""
    # A value that no segment has: the published code counts the image border as a boundary.
    padded = np.pad(id_map, reach, constant_values=INSIDE)
    width = 2 * reach + 1
    low, high = (
        _sliding(_sliding(padded, width, extreme, 0), width, extreme, 1) for extreme in (np.minimum, np.maximum)
    )
    # A pixel is inside if its window holds one value alone, which is then its own.
    return np.where((low == high) & (id_map > 0), np.int32(INSIDE), id_map)


def _sliding(values: IdMap, width: int, extreme: np.ufunc, axis: int) -> IdMap:
    """Return the minimum or maximum of every window of `width` along an axis."""
    # By doubling: the extreme of a window is that of two smaller ones, so that the cost grows with log(width).
    step = 1
    while step < width:
        shift = min(step, width - step)
        length = values.shape[axis] - shift
        values = extreme(_cut(values, 0, length, axis), _cut(values, shift, shift + length, axis))
        step += shift
    return values


def _cut(values: IdMap, start: int, stop: int, axis: int) -> IdMap:
    return values[start:stop] if axis == 0 else values[:, start:stop]


def boundary_column(truth: Panoptic, prediction: Panoptic) -> dict[str, Any]:
    """Return the boundary data of an image line: boundary pixels of each segment and each overlapping pair.

    Segments are in the order of the maps; `pairs` are sorted rows [truth, predicted, pixels], where truth 0 is all of
    void.
    """
    reach = dilation_px(truth.size)
    ours, theirs = (boundary_map(one.id_map, reach) for one in (truth, prediction))
    both = (ours >= 0) & (theirs > 0)
    columns = len(prediction.segments_info) + 1
    keys, pixels = np.unique(ours[both].astype(np.int64) * columns + theirs[both], return_counts=True)
    return {
        "dilation_px": reach,
        "truth": _areas(ours, len(truth.segments_info)),
        "predicted": _areas(theirs, len(prediction.segments_info)),
        "pairs": [[key // columns, key % columns, n] for key, n in zip(keys.tolist(), pixels.tolist(), strict=True)],
    }


def _areas(boundaries: IdMap, segments: int) -> list[int]:
    counts: list[int] = np.bincount(boundaries[boundaries > 0], minlength=segments + 1)[1:].tolist()
    return counts


def boundary_ious(columns: Columns) -> NDArray[np.float64]:
    """Return the boundary IoU of each pair: (n,), meaningless but for pairs of one category."""
    i, j, _ = columns.pairs
    truth, predicted, common = columns.boundary
    # Void of the truth is left out of the union, as for masks.
    void = counted(j[columns.on_void], common[columns.on_void], len(predicted))
    found: NDArray[np.float64] = common / np.maximum(predicted[j] + truth[i] - common - void[j], 1)
    return found


@dataclass(frozen=True)
class BoundaryTable:
    """Boundary PQ.

    `iou` is, by category, the mean boundary IoU of the segments that plain PQ matches, None if there are none.
    """

    categories: Categories
    table: PQTable
    iou: tuple[float | None, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            **self.table.to_json(),
            "boundary_IoU": {name: mean(rows) for name, rows in by_group(self.iou, self.categories).items()},
            "per_class": [
                {"name": category.name, "PQ": row.PQ, "SQ": row.SQ, "RQ": row.RQ, "boundary_IoU": iou,
                 "TP": row.TP, "FP": row.FP, "FN": row.FN}
                for category, row, iou in zip(self.categories, self.table.per_class, self.iou, strict=True)
            ],
            "dilation": DILATION,
            "version": BOUNDARY_VERSION,
        }  # fmt: skip


@dataclass(frozen=True)
class BoundarySums:
    """Statistics by category: of boundary PQ, and of the boundary IoU of the segments that plain PQ matches."""

    quality: Mapping[int, PQStat] = field(default_factory=dict)
    plain: Mapping[int, PQStat] = field(default_factory=dict)

    @classmethod
    def of(cls, columns: Columns, protocol: Protocol = "coco") -> BoundarySums:
        """Count the columns of a run that was started with `--metrics boundary`. Raise DataError for any other."""
        columns.require("boundary", "the run stored no boundaries; repeat it with --metrics boundary")
        masks, boundaries = pair_ious(columns, protocol), boundary_ious(columns)
        # The paper scores a pair by the smaller of its two IoUs, so that a pair with a poor boundary is no match.
        rows = resolve_matches(columns, np.minimum(masks, boundaries), protocol=protocol)
        hits = np.flatnonzero(scored_pairs(columns) & (masks > 0.5))
        nothing = np.zeros(0, np.int64)
        plain = MatchedRows(
            columns.pairs.truth[hits], columns.pairs.predicted[hits], boundaries[hits], nothing, nothing
        )
        return cls(pq_stats(columns, rows), pq_stats(columns, plain))

    def __add__(self, other: BoundarySums) -> BoundarySums:
        return BoundarySums(sum_stats([self.quality, other.quality]), sum_stats([self.plain, other.plain]))

    def table(self, categories: Categories) -> BoundaryTable:
        iou = tuple(one.iou_sum / one.tp if (one := self.plain.get(c.id)) else None for c in categories)
        return BoundaryTable(categories, pq_table(self.quality, categories), iou)


def boundary_table(columns: Columns, categories: Categories, protocol: Protocol = "coco") -> BoundaryTable:
    return BoundarySums.of(columns, protocol).table(categories)
