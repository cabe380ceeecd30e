"""PQ by segment size: TP and FN by the area of the truth, FP by the area of the prediction.

The bins partition the segments, so their TP, FP, FN and IoU sum to the whole exactly. COCO's bins are pixels (its
detection evaluation: 32², 96²). The relative bins are shares of the image, for data sets of other resolutions. Areas
are counted, never declared; an area on an edge belongs to the upper bin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.bootstrap import Sums, means_of_groups, ratio
from bench.metrics.columns import NO_SEGMENTS, Columns, Ints
from bench.metrics.image_statistics import Amounts, ImageSums
from bench.metrics.matching import MatchedRows, Protocol, match_rows
from bench.metrics.pq import PQStat, PQTable, pq_stats, pq_table
from bench.types import Categories


@dataclass(frozen=True)
class Bins:
    """Size bins: `edges` separate the `names`, in pixels, or in shares of the image if `relative`."""

    names: tuple[str, ...]
    edges: tuple[float, ...]
    relative: bool

    def places(self, area_px: Ints, image_px: Ints) -> Ints:
        """Return the index of each segment's bin."""
        return np.searchsorted(self.edges, area_px / image_px if self.relative else area_px, side="right")


# Areas of COCO's detection evaluation (cocoeval.py): small up to 32², large from 96² pixels.
COCO = Bins(("small", "medium", "large"), (32**2, 96**2), relative=False)
RELATIVE = Bins(("below 0.1 %", "0.1 to 1 %", "1 to 10 %", "10 % and more"), (0.001, 0.01, 0.1), relative=True)
BINS: Mapping[str, Bins] = {"coco": COCO, "relative": RELATIVE}


def split_by_size(columns: Columns, rows: MatchedRows, bins: Bins) -> list[MatchedRows]:
    """Return the matching of each bin."""
    truth, predicted = (
        bins.places(side.area, columns.image_px[side.image]) for side in (columns.truth, columns.predicted)
    )
    return [
        rows.only(truth[rows.truth] == k, predicted[rows.fp] == k, truth[rows.fn] == k) for k in range(len(bins.names))
    ]


@dataclass(frozen=True)
class SizeTable:
    """PQ statistics by size: `totals[kind][k]` are those of bin k of `BINS[kind]`."""

    categories: Categories
    totals: Mapping[str, tuple[Mapping[int, PQStat], ...]]

    def table(self, kind: str, k: int) -> PQTable:
        """Return the PQ of a bin. Its means are over the categories with truth in it, or in no bin."""
        # A category whose truth lies only in other bins has false positives here at most. With a PQ of 0 for it, the
        # means of two models would be over different categories.
        elsewhere = {
            category_id
            for other in self.totals[kind]
            for category_id, one in other.items()
            if one.tp + one.fn and not _has_truth(self.totals[kind][k].get(category_id))
        }
        kept = {category_id: one for category_id, one in self.totals[kind][k].items() if category_id not in elsewhere}
        return pq_table(kept, self.categories)

    def to_json(self) -> dict[str, Any]:
        return {kind: [self._row(kind, k) for k in range(len(bins.names))] for kind, bins in BINS.items()}

    def _row(self, kind: str, k: int) -> dict[str, Any]:
        edges = (0, *BINS[kind].edges, None)
        table, counted = self.table(kind, k), pq_table(self.totals[kind][k], self.categories)
        return {
            "bin": BINS[kind].names[k],
            "from": edges[k],
            "to": edges[k + 1],
            "unit": "share of the image" if BINS[kind].relative else "px",
            **counted.to_json(),
            "PQ": table.to_json()["PQ"],
            "per_class": {
                category.name: {"PQ": row.PQ, "TP": row.TP, "FP": row.FP, "FN": row.FN}
                for category, row in zip(self.categories, counted.per_class, strict=True)
                if row.PQ is not None
            },
        }


def _has_truth(one: PQStat | None) -> bool:
    return one is not None and one.tp + one.fn > 0


def size_table(columns: Columns, categories: Categories, protocol: Protocol = "coco") -> SizeTable:
    """Compute the PQ of each bin."""
    columns.require("overlap", NO_SEGMENTS)
    rows = match_rows(columns, protocol=protocol)
    found = {kind: split_by_size(columns, rows, bins) for kind, bins in BINS.items()}
    totals = {kind: tuple(pq_stats(columns, own) for own in matchings) for kind, matchings in found.items()}
    return SizeTable(categories, totals)


def size_sums(columns: Columns, categories: Categories, protocol: Protocol = "coco") -> ImageSums:
    """Return, of each image and bin, the sum of IoU, TP + FP/2 + FN/2 and segments of the truth, for `size_quality`."""
    columns.require("overlap", NO_SEGMENTS)
    rows = match_rows(columns, protocol=protocol)
    parts = {}
    for bins in BINS.values():
        for name, own in zip(bins.names, split_by_size(columns, rows, bins), strict=True):
            parts[f"iou {name}"] = Amounts(own, tp=own.iou, fp=0, fn=0)
            parts[f"halves {name}"] = Amounts(own, tp=1, fp=0.5, fn=0.5)
            parts[f"truth {name}"] = Amounts(own, tp=1, fp=0, fn=1)
    return ImageSums.of_segments(columns, categories, parts)


def size_quality(part: Sums, categories: Categories) -> NDArray[np.floating]:
    """Compute the PQ of each bin of BINS in each of GROUPS from `size_sums`: (7 * 3, n), NaN if undefined."""
    found = []
    for bins in BINS.values():
        nowhere = sum(part[f"truth {name}"] for name in bins.names) == 0
        for name in bins.names:
            # The classes of `SizeTable.table`.
            counted = (part[f"halves {name}"] > 0) & ((part[f"truth {name}"] > 0) | nowhere)
            found.append(means_of_groups(ratio(part[f"iou {name}"], part[f"halves {name}"], counted), categories))
    return np.concatenate(found)
