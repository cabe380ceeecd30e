"""Decomposition of 1 - PQ: every false positive and false negative gets one error type, and the shares sum to 1 - PQ.

    1 - PQ = (sum over TP of (1 - IoU) + FP / 2 + FN / 2) / (TP + FP / 2 + FN / 2)

holds for each category. The share of an error type is half its count over the denominator; that of mask quality is the
sum of 1 - IoU over it. Unlike TIDE (Bolya et al., ECCV 2020), nothing is corrected and scored again, so shares do not
depend on an order of corrections. The first type that fits is taken, in the order of `ERROR_TYPES`:

- mask quality: matched, but the masks differ
- misclassified: a segment of another category has IoU > 0.5 with it
- split: at least two predicted segments of the category lie mostly within one segment of the truth, and together
  cover more than half of it; the unmatched parts are its false positives
- merged: one predicted segment covers more than half of each of several truth segments of its category
- poor mask: a segment of its category has 0.1 < IoU <= 0.5 with it
- left void: most of the truth segment is void in the prediction
- missed (of the truth), spurious (of the prediction): the rest
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.bootstrap import Sums, means_of_groups, ratio
from bench.metrics.columns import NO_SEGMENTS, Columns, Ints, counted
from bench.metrics.image_statistics import Amounts, ImageSums
from bench.metrics.matching import MatchedRows, Protocol, match_rows, pair_ious
from bench.metrics.pq import FIXED_POINT_ONE, PQStat, by_group, mean, pq_stats
from bench.types import Categories

ERROR_TYPES = ("mask quality", "misclassified", "split", "merged", "poor mask", "left void", "missed", "spurious")
# TIDE's background threshold: below it two segments have nothing to do with each other.
POOR_IOU = 0.1


@dataclass(frozen=True, eq=False)
class ErrorAssignment:
    """Error type of each false negative and false positive, as index of ERROR_TYPES, in the order of the matching."""

    fn: Ints
    fp: Ints


def assign_error_types(columns: Columns, rows: MatchedRows, protocol: Protocol = "coco") -> ErrorAssignment:
    """Assign the first error type that fits to each unmatched segment."""
    truth = np.full(len(columns.truth.area), ERROR_TYPES.index("missed"))
    predicted = np.full(len(columns.predicted.area), ERROR_TYPES.index("spurious"))
    # From the last to the first of ERROR_TYPES, so that the first one that holds a segment names its error.
    for kind, of_truth, of_prediction in reversed(_groups(columns, protocol)):
        truth[of_truth] = predicted[of_prediction] = ERROR_TYPES.index(kind)
    return ErrorAssignment(truth[rows.fn], predicted[rows.fp])


def _groups(columns: Columns, protocol: Protocol) -> list[tuple[str, Ints, Ints]]:
    """Return the kinds in the order of ERROR_TYPES, with the rows of truth and prediction that each may be of."""
    (i, j, pixels), (truth, predicted) = columns.pairs, (columns.truth, columns.predicted)
    ious = pair_ious(columns, protocol)
    touching = (truth.category_id[i] >= 0) & (predicted.category_id[j] >= 0) & ~truth.iscrowd[i]
    same = touching & columns.same
    wrong = touching & ~columns.same & (ious > 0.5)
    # "Mostly within" leaves out pixels on void, which no segment of the truth could explain.
    within = same & (2 * pixels > (predicted.area - columns.void_pixels)[j])
    pieces = np.bincount(i[within], minlength=len(truth.area))
    covered = counted(i[within], pixels[within], len(truth.area))
    split = within & ((pieces > 1) & (2 * covered > truth.area))[i]
    most = 2 * pixels > truth.area[i]
    swallowed = same & most
    merged = swallowed & (np.bincount(j[swallowed], minlength=len(predicted.area)) > 1)[j]
    poor = same & (ious > POOR_IOU) & (ious <= 0.5)
    void = (truth.category_id[i] >= 0) & (predicted.category_id[j] < 0) & most
    kinds = {"misclassified": wrong, "split": split, "merged": merged, "poor mask": poor}
    return [*((kind, i[rows], j[rows]) for kind, rows in kinds.items()), ("left void", i[void], j[:0])]


@dataclass(frozen=True)
class ClassErrors:
    """Errors of one category: PQ and the share of 1 - PQ of each type, None if the category does not occur.

    `fn` and `fp` count the segments of each type; `precision` is TP / (TP + FP), `recall` TP / (TP + FN).
    """

    pq: float | None
    loss: Mapping[str, float | None]
    tp: int
    fn: Mapping[str, int]
    fp: Mapping[str, int]
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class ErrorTable:
    """Errors by category, in their order. Shares of a group are means over its `n` categories that occur."""

    categories: Categories
    per_class: tuple[ClassErrors, ...]

    def to_json(self) -> dict[str, Any]:
        """Return fractions of 1; in every row PQ and the losses sum to 1."""
        rows = zip(self.categories, self.per_class, strict=True)
        return {
            **{name: _group(group) for name, group in by_group(self.per_class, self.categories).items()},
            "per_class": [
                {
                    "category_id": c.id, "name": c.name, "isthing": c.isthing, "PQ": row.pq, "loss": dict(row.loss),
                    "TP": row.tp, "FN": dict(row.fn), "FP": dict(row.fp),
                    "precision": row.precision, "recall": row.recall,
                }
                for c, row in rows
            ],
        }  # fmt: skip


def error_table(columns: Columns, categories: Categories, protocol: Protocol = "coco") -> ErrorTable:
    """Compute the error types of all images."""
    columns.require("overlap", NO_SEGMENTS)
    rows = match_rows(columns, protocol=protocol)
    kinds = assign_error_types(columns, rows, protocol)
    stats = pq_stats(columns, rows)
    fn = _counts(columns.truth.category_id[rows.fn], kinds.fn)
    fp = _counts(columns.predicted.category_id[rows.fp], kinds.fp)
    return ErrorTable(
        categories, tuple(_class_errors(stats.get(c.id, PQStat()), fn[c.id], fp[c.id]) for c in categories)
    )


def error_sums(columns: Columns, categories: Categories, protocol: Protocol = "coco") -> ImageSums:
    """Return, of each image, TP + FP/2 + FN/2 as "halves" and what of it each error type loses."""
    columns.require("overlap", NO_SEGMENTS)
    rows = match_rows(columns, protocol=protocol)
    kinds = assign_error_types(columns, rows, protocol)
    parts = {
        kind: Amounts(rows.only(np.zeros(len(rows.truth), bool), kinds.fp == k, kinds.fn == k), tp=0, fp=0.5, fn=0.5)
        for k, kind in enumerate(ERROR_TYPES)
    }
    parts["mask quality"] = Amounts(rows, tp=1 - rows.iou, fp=0, fn=0)
    parts["halves"] = Amounts(rows, tp=1, fp=0.5, fn=0.5)
    return ImageSums.of_segments(columns, categories, parts)


def losses(part: Sums, categories: Categories) -> NDArray[np.floating]:
    """Compute the loss of each type in each of GROUPS from `error_sums`: (8 * 3, n), NaN if undefined."""
    occurs = part["halves"] > 0
    shares = (ratio(part[kind], part["halves"], occurs) for kind in ERROR_TYPES)
    return np.concatenate([means_of_groups(share, categories) for share in shares])


def _counts(category_ids: Ints, kinds: Ints) -> dict[int, Counter[str]]:
    """Return category id → number of segments of each kind."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for (category_id, kind), count in Counter(zip(category_ids.tolist(), kinds.tolist(), strict=True)).items():
        found[category_id][ERROR_TYPES[kind]] = count
    return found


def _class_errors(one: PQStat, fn: Counter[str], fp: Counter[str]) -> ClassErrors:
    halves = one.tp + 0.5 * one.fp + 0.5 * one.fn
    if not halves:
        return ClassErrors(None, dict.fromkeys(ERROR_TYPES), 0, {}, {}, None, None)
    loss = {kind: 0.5 * (fn[kind] + fp[kind]) / halves for kind in ERROR_TYPES}
    # In fixed point until the division, so that the shares add up to 1 - PQ.
    loss["mask quality"] = (one.tp * FIXED_POINT_ONE - one.iou) / FIXED_POINT_ONE / halves
    return ClassErrors(
        one.iou_sum / halves, loss, one.tp, fn, fp,
        precision=one.tp / (one.tp + one.fp) if one.tp + one.fp else None,
        recall=one.tp / (one.tp + one.fn) if one.tp + one.fn else None,
    )  # fmt: skip


def _group(rows: Iterable[ClassErrors]) -> dict[str, Any]:
    defined = [row for row in rows if row.pq is not None]
    return {
        "PQ": mean(row.pq for row in defined),
        "loss": {kind: mean(row.loss[kind] for row in defined) for kind in ERROR_TYPES},
        "TP": sum(row.tp for row in defined),
        "FN": dict(sum((Counter(row.fn) for row in defined), Counter())),
        "FP": dict(sum((Counter(row.fp) for row in defined), Counter())),
        "n": len(defined),
    }
