"""PQ by segment size: TP and FN by the area of the truth, FP by the area of the prediction.

The bins partition the segments, so their TP, FP, FN and IoU sum to the whole exactly. COCO's bins are pixels (its
detection evaluation: 32², 96²). The relative bins are shares of the image, for data sets of other resolutions. Areas
are counted, never declared; an area on an edge belongs to the upper bin.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.metrics.image_statistics import Lines, overlaps
from bench.metrics.matching import Matches, Protocol, match
from bench.metrics.pq import PQStat, PQTable, pq_table, sum_stats
from bench.overlap import Overlap
from bench.types import Categories


@dataclass(frozen=True)
class Bins:
    """Size bins: `edges` separate the `names`, in pixels, or in shares of the image if `relative`."""

    names: tuple[str, ...]
    edges: tuple[float, ...]
    relative: bool

    def place(self, area_px: int, image_px: int) -> int:
        """Return the index of a segment's bin."""
        return bisect_right(self.edges, area_px / image_px if self.relative else area_px)


# Areas of COCO's detection evaluation (cocoeval.py): small up to 32², large from 96² pixels.
COCO = Bins(("small", "medium", "large"), (32**2, 96**2), relative=False)
RELATIVE = Bins(("below 0.1 %", "0.1 to 1 %", "1 to 10 %", "10 % and more"), (0.001, 0.01, 0.1), relative=True)
BINS: Mapping[str, Bins] = {"coco": COCO, "relative": RELATIVE}


def size_tallies(overlap: Overlap, matches: Matches, bins: Bins) -> list[dict[int, PQStat]]:
    """Return category id → PQStat of one image, for each bin."""
    found: list[list[dict[int, PQStat]]] = [[] for _ in bins.names]
    image_px = overlap.image_px
    for area, category_id, part in _parts(overlap, matches):
        found[bins.place(area, image_px)].append({category_id: part})
    return [sum_stats(parts) for parts in found]


def _parts(overlap: Overlap, matches: Matches) -> Iterator[tuple[int, int, PQStat]]:
    for hit in matches.tp:
        truth = overlap.truth[hit.truth - 1]
        yield truth.area, truth.category_id, PQStat.true_positive(hit.iou)
    for i in matches.fn:
        truth = overlap.truth[i - 1]
        yield truth.area, truth.category_id, PQStat(fn=1)
    for j in matches.fp:
        predicted = overlap.predicted[j - 1]
        yield predicted.area, predicted.category_id, PQStat(fp=1)


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


def size_table(lines: Lines, categories: Categories, protocol: Protocol = "coco") -> SizeTable:
    """Compute the PQ of each bin from image lines in any order, one line at a time."""
    sums: dict[str, list[dict[int, PQStat]]] = {kind: [{} for _ in bins.names] for kind, bins in BINS.items()}
    for overlap in overlaps(lines):
        matches = match(overlap, protocol=protocol)
        for kind, bins in BINS.items():
            image = size_tallies(overlap, matches, bins)
            sums[kind] = [sum_stats([old, new]) for old, new in zip(sums[kind], image, strict=True)]
    return SizeTable(categories, {kind: tuple(bins) for kind, bins in sums.items()})
