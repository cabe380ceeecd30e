"""PQ at IoU thresholds from 0.5 to 0.95, and PQ†, which needs no match for stuff.

PQ† (Porzi et al., "Seamless Scene Segmentation", CVPR 2019) equals PQ for things. For a stuff category it is the mean,
over the segments of the truth, of the IoU with the predicted segment of the category, however small.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.columns import NO_SEGMENTS, Columns
from bench.metrics.matching import Protocol, is_scored, pair_ious, resolve_matches, scored_pairs
from bench.metrics.pq import GROUPS, PQTable, by_group, mean, pq_stats, pq_table
from bench.types import Categories

# An IoU is a quotient of counts below 2^54, so that its double has no bit below 2^-107: sums of such units are exact.
SMALLEST_UNIT = 1 << 107
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


def threshold_table(columns: Columns, categories: Categories, protocol: Protocol = "coco") -> ThresholdTable:
    columns.require("overlap", NO_SEGMENTS)
    ious = pair_ious(columns, protocol)
    tables = tuple(
        pq_table(pq_stats(columns, resolve_matches(columns, ious, at, protocol)), categories) for at in THRESHOLDS
    )
    stuff = _stuff(columns, ious, protocol)
    dagger = tuple(
        row.PQ if category.isthing else stuff.get(category.id)
        for category, row in zip(categories, tables[0].per_class, strict=True)
    )
    return ThresholdTable(categories, tables, dagger)


def _stuff(columns: Columns, ious: NDArray[np.float64], protocol: Protocol) -> dict[int, float]:
    """Return category id → mean over its truth segments of the best IoU of each."""
    best = np.zeros(len(columns.truth.area))
    rows = scored_pairs(columns)
    np.maximum.at(best, columns.pairs.truth[rows], ious[rows])
    scored = is_scored(columns.truth, protocol)
    segments = Counter(columns.truth.category_id[scored].tolist())
    sums: dict[int, int] = dict.fromkeys(segments, 0)
    for category_id, iou in zip(columns.truth.category_id[scored].tolist(), best[scored].tolist(), strict=True):
        sums[category_id] += int(iou * SMALLEST_UNIT)
    return {category_id: sums[category_id] / (SMALLEST_UNIT * count) for category_id, count in segments.items()}
