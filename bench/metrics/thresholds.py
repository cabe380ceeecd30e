"""PQ at IoU thresholds from 0.5 to 0.95, and PQ†, which needs no match for stuff.

PQ† (Porzi et al., "Seamless Scene Segmentation", CVPR 2019) equals PQ for things. For a stuff category it is the mean,
over the segments of the truth, of the IoU with the predicted segment of the category, however small.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bench.metrics.image_statistics import Lines, overlaps
from bench.metrics.matching import Match, Protocol, is_scored, resolve_matches, same_category_pairs
from bench.metrics.pq import GROUPS, PQStat, PQTable, by_group, mean, pq_stat_of, pq_table, sum_stats
from bench.overlap import Overlap
from bench.types import Categories

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


@dataclass(frozen=True)
class ThresholdTable:
    """`tables[k]` is PQ at `THRESHOLDS[k]`; `dagger` is PQ† by category, None if undefined."""

    categories: Categories
    tables: tuple[PQTable, ...]
    dagger: tuple[float | None, ...]

    def to_json(self) -> dict[str, Any]:
        """Return fractions; `mean` is the mean PQ over the thresholds."""
        groups = [dict(table.groups.items()) for table in self.tables]
        return {
            "thresholds": {str(at): table.to_json() for at, table in zip(THRESHOLDS, self.tables, strict=True)},
            "mean": {name: mean(one[name].PQ for one in groups) for name in GROUPS},
            "PQ_dagger": {
                **{name: mean(rows) for name, rows in by_group(self.dagger, self.categories).items()},
                "n": sum(value is not None for value in self.dagger),
            },
            "per_class": [
                {"name": c.name, "PQ": [t.per_class[k].PQ for t in self.tables], "PQ_dagger": self.dagger[k],
                 "support": self.tables[0].per_class[k].TP + self.tables[0].per_class[k].FN}
                for k, c in enumerate(self.categories)
            ],
        }  # fmt: skip


def threshold_table(lines: Lines, categories: Categories, protocol: Protocol = "coco") -> ThresholdTable:
    sums: list[dict[int, PQStat]] = [{} for _ in THRESHOLDS]
    stuff = _Stuff(defaultdict(Fraction), Counter())
    for overlap in overlaps(lines):
        pairs = list(same_category_pairs(overlap, protocol))
        stuff.add(overlap, pairs, protocol)
        for k, at in enumerate(THRESHOLDS):
            matches = resolve_matches(overlap, (hit for hit in pairs if hit.iou > at), protocol)
            sums[k] = sum_stats([sums[k], pq_stat_of(overlap, matches)])
    tables = tuple(pq_table(one, categories) for one in sums)
    dagger = tuple(
        row.PQ if category.isthing else stuff.mean(category.id)
        for category, row in zip(categories, tables[0].per_class, strict=True)
    )
    return ThresholdTable(categories, tables, dagger)


@dataclass(frozen=True)
class _Stuff:
    """Category id → sum of the best IoU of each truth segment, and number of truth segments."""

    iou: dict[int, Fraction]
    segments: Counter[int]

    def add(self, overlap: Overlap, pairs: list[Match], protocol: Protocol) -> None:
        best: dict[int, float] = {}
        for hit in pairs:
            best[hit.truth] = max(hit.iou, best.get(hit.truth, 0.0))
        for i, segment in enumerate(overlap.truth, 1):
            if is_scored(segment, protocol):
                self.segments[segment.category_id] += 1
                # IoU below one half is no multiple of 2^-53; fractions are exact in any order.
                self.iou[segment.category_id] += Fraction(best.get(i, 0.0))

    def mean(self, category_id: int) -> float | None:
        count = self.segments[category_id]
        return float(self.iou[category_id] / count) if count else None
