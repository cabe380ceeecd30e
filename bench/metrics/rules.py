"""PQ under the rules of other evaluators, computed from the stored overlaps of a run.

Published numbers called PQ follow different rules. Each rule is restated from the source that it names. torchmetrics'
rule equals its package; EoMT's equals its code where an image has at most one crowd region of a class: of several its
code takes one by the order of a Python set, here the last listed is taken.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.metrics.columns import NO_SEGMENTS, Columns, Lines, overlap_of
from bench.metrics.matching import MatchedRows
from bench.metrics.pq import (
    ClassQuality,
    GroupQuality,
    PQStat,
    PQTable,
    Quality,
    by_group,
    mean,
    pq_stat,
    pq_stats,
    pq_table,
    sum_stats,
)
from bench.overlap import Overlap
from bench.types import Categories

RuleName = Literal["coco", "strict", "eomt", "torchmetrics", "torchmetrics-crowd"]


@dataclass(frozen=True)
class Rule:
    """Description of a rule: how it differs from panopticapi's, and its source."""

    differs: str
    source: str


RULES: Mapping[RuleName, Rule] = {
    "coco": Rule("the reference; void in a prediction counts as missed", "panopticapi, pq_compute_single_core"),
    "strict": Rule("ground-truth areas are counted in pixels, and every crowd region forgives", "this project"),
    "eomt": Rule(
        "areas are counted; stuff is matched by class; classes that do not occur count as 0 in the means",
        "tue-mps/eomt, training/lightning_module.py, update_metrics_panoptic",
    ),
    "torchmetrics": Rule(
        "void in a prediction is forgiven; crowd regions count as objects; stuff is matched by class",
        "torchmetrics 1.9, functional/detection/_panoptic_quality_common.py",
    ),
    "torchmetrics-crowd": Rule(
        "as torchmetrics, but crowd regions are ignored as by panopticapi",
        "torchmetrics 1.9 with the crowd regions of tue-mps/eomt",
    ),
}


def rule_tables(lines: Lines, categories: Categories) -> dict[RuleName, PQTable]:
    """Return the PQ table of image lines under every rule. Raises DataError if a line has no segments."""
    totals: dict[RuleName, dict[int, PQStat]] = {rule: {} for rule in RULES}
    for line in lines:
        if line.get("overlap") is None:
            raise DataError(f"image {line.get('image_id')!r}: {NO_SEGMENTS}")
        overlap = overlap_of(line)
        for rule, total in totals.items():
            totals[rule] = sum_stats([total, rule_stat(overlap, categories, rule)])
    tables = {rule: pq_table(total, categories) for rule, total in totals.items()}
    return {**tables, "eomt": _with_absent_classes(tables["eomt"], categories)}


def rule_stat(overlap: Overlap, categories: Categories, rule: RuleName) -> dict[int, PQStat]:
    """Return category id → PQStat of one image under a rule."""
    if rule in ("coco", "strict"):
        return pq_stat(overlap, protocol="strict" if rule == "strict" else "coco")
    if rule == "eomt":
        overlap = _crowds_of_first_segment(overlap, categories)
    elif rule == "torchmetrics":
        overlap = replace(overlap, truth=tuple(segment._replace(iscrowd=False) for segment in overlap.truth))
    merged = _merged_stuff(overlap, categories)
    return pq_stats(Columns.of_overlap(merged), _match(merged, forgive_predicted_void=rule != "eomt"))


def _with_absent_classes(table: PQTable, categories: Categories) -> PQTable:
    # EoMT takes the mean of all rows of torchmetrics' result, where a class without TP, FP and FN is 0.
    def quality(rows: Sequence[ClassQuality]) -> Quality:
        return Quality(
            mean(row.PQ or 0.0 for row in rows), mean(row.SQ or 0.0 for row in rows),
            mean(row.RQ or 0.0 for row in rows), len(rows),
        )  # fmt: skip

    groups = {name: quality(rows) for name, rows in by_group(table.per_class, categories).items()}
    return PQTable(GroupQuality(**groups), table.per_class)


def _crowds_of_first_segment(overlap: Overlap, categories: Categories) -> Overlap:
    """Return the overlap with the crowd flags that EoMT's validation reads for stuff."""
    # Its targets list segments by rising id, and stuff has instance 0, so that each stuff segment has the flag of the
    # first listed segment of its image.
    seen = [segment for segment in overlap.truth if segment.area]
    if not seen:
        return overlap
    first = min(seen, key=lambda segment: -1 if segment.source_id is None else segment.source_id).iscrowd
    things = {category.id for category in categories if category.isthing}
    truth = tuple(s if s.category_id in things else s._replace(iscrowd=first) for s in overlap.truth)
    return replace(overlap, truth=truth)


def _merged_stuff(overlap: Overlap, categories: Categories) -> Overlap:
    """Return the overlap with one segment for the stuff of a category, areas as counted, none without pixels."""
    things = {category.id for category in categories if category.isthing}
    truth_at = _numbers([(s.category_id, s.area) for s in overlap.truth], things)
    predicted_at = _numbers([(s.category_id, s.area) for s in overlap.predicted], things)
    width = int(predicted_at.max()) + 1
    i, j, pixels = overlap.table.T
    keys, at = np.unique(truth_at[i] * width + predicted_at[j], return_inverse=True)
    # Weighted bincount adds doubles, which are exact here: an image has fewer than 2^53 pixels.
    table = np.stack([*divmod(keys, width), np.bincount(at, pixels, len(keys)).astype(np.int64)], axis=1)
    areas = [np.bincount(table[:, side], table[:, 2]).astype(np.int64).tolist() for side in (0, 1)]
    # The first of the merged segments stands for all.
    truth = {number: s for number, s in zip(truth_at[:0:-1].tolist(), reversed(overlap.truth), strict=True)}
    predicted = {number: s for number, s in zip(predicted_at[:0:-1].tolist(), reversed(overlap.predicted), strict=True)}
    return Overlap(
        tuple(truth[n]._replace(area=areas[0][n], declared_area=None) for n in sorted(truth) if n),
        tuple(predicted[n]._replace(area=areas[1][n]) for n in sorted(predicted) if n),
        table,
    )


def _numbers(segments: Sequence[tuple[int, int]], things: Collection[int]) -> NDArray[np.int64]:
    """Return the new dense id of void and of each (category id, area): (n + 1,); 0 without pixels."""
    numbers: dict[tuple[int, int], int] = {}
    found = [0]
    for place, (category_id, area) in enumerate(segments):
        key = (category_id, place if category_id in things else -1)
        found.append(numbers.setdefault(key, len(numbers) + 1) if area else 0)
    return np.array(found)


def _match(overlap: Overlap, forgive_predicted_void: bool) -> MatchedRows:
    """Match by counted areas; a crowd region is never matched, and the last of a category forgives.

    With `forgive_predicted_void`, pixels of the truth that the prediction leaves void are left out of the union, and a
    missed segment of which more than half is such is no false negative.
    """
    made = np.array([-1, *(s.category_id for s in overlap.predicted)])
    meant = np.array([-2, *(-2 if s.iscrowd else s.category_id for s in overlap.truth)])
    truth_px = np.array([0, *(s.area for s in overlap.truth)])
    predicted_px = np.array([0, *(s.area for s in overlap.predicted)])
    i, j, pixels = overlap.table.T
    left = np.bincount(i[j == 0], pixels[j == 0], len(truth_px))  # of each truth segment
    left_void = left if forgive_predicted_void else np.zeros_like(left)
    union = (truth_px - left_void)[i] + (predicted_px - overlap.void_pixels)[j] - pixels
    iou = pixels / np.maximum(union, 1)
    rows = (meant[i] == made[j]) & (iou > 0.5)
    crowds = {s.category_id: n for n, s in enumerate(overlap.truth, 1) if s.iscrowd}
    crowd_of = np.array([crowds.get(category_id, -1) for category_id in made.tolist()])
    forgiven = overlap.predicted_pixels((i == 0) | (i == crowd_of[j]))
    missed, spurious = (meant >= 0) & (left_void <= 0.5 * truth_px), 2 * forgiven <= predicted_px
    missed[i[rows]] = spurious[j[rows]] = spurious[0] = False
    return MatchedRows(i[rows], j[rows], iou[rows], fp=np.flatnonzero(spurious), fn=np.flatnonzero(missed))
