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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bench.metrics.image_statistics import Lines, overlaps
from bench.metrics.matching import Matches, Protocol, match, pair_ious
from bench.metrics.pq import FIXED_POINT_ONE, PQStat, by_group, mean, pq_stat_of
from bench.overlap import Overlap
from bench.types import Categories

ERROR_TYPES = ("mask quality", "misclassified", "split", "merged", "poor mask", "left void", "missed", "spurious")
# TIDE's background threshold: below it two segments have nothing to do with each other.
POOR_IOU = 0.1


@dataclass(frozen=True)
class ErrorAssignment:
    """Error type of each false negative (by dense truth id) and false positive (by dense predicted id)."""

    fn: dict[int, str]
    fp: dict[int, str]


class _Touch(NamedTuple):
    """Overlapping pair of segments: `same` category; `within` if most of the predicted one is in the truth one."""

    truth: int
    predicted: int
    pixels: int
    iou: float
    same: bool
    within: bool


Group = tuple[str, Iterable[int], Iterable[int]]  # a kind, and the segments of truth and prediction it may be of


def assign_error_types(overlap: Overlap, matches: Matches, protocol: Protocol = "coco") -> ErrorAssignment:
    """Assign the first error type that fits to each unmatched segment."""
    truth: dict[int, str] = {}
    predicted: dict[int, str] = {}
    for kind, of_truth, of_prediction in _groups(overlap, protocol):
        for i in of_truth:
            # Groups come in the order of ERROR_TYPES, and the first one that holds a segment names its error.
            truth.setdefault(i, kind)
        for j in of_prediction:
            predicted.setdefault(j, kind)
    return ErrorAssignment(
        {i: truth.get(i, "missed") for i in matches.fn},
        {j: predicted.get(j, "spurious") for j in matches.fp},
    )


def _groups(overlap: Overlap, protocol: Protocol) -> Iterator[Group]:
    touching = list(_touching(overlap, protocol))
    same = [touch for touch in touching if touch.same]
    for touch in touching:
        if not touch.same and touch.iou > 0.5:
            yield "misclassified", [touch.truth], [touch.predicted]
    yield from _splits(overlap, same)
    yield from _merges(overlap, same)
    for touch in same:
        if POOR_IOU < touch.iou <= 0.5:
            yield "poor mask", [touch.truth], [touch.predicted]
    for i, j, pixels in overlap.pairs:
        if i and j == 0 and _is_most(overlap, i, pixels):
            yield "left void", [i], []


def _touching(overlap: Overlap, protocol: Protocol) -> Iterator[_Touch]:
    void = overlap.void_pixels.tolist()
    for (i, j, pixels), iou in zip(overlap.pairs, pair_ious(overlap, protocol).tolist(), strict=True):
        if i and j and not overlap.truth[i - 1].iscrowd:
            predicted = overlap.predicted[j - 1]
            same = overlap.truth[i - 1].category_id == predicted.category_id
            # "Mostly within" leaves out pixels on void, which no segment of the truth could explain.
            yield _Touch(i, j, pixels, iou, same, within=2 * pixels > predicted.area - void[j])


def _is_most(overlap: Overlap, truth: int, pixels: int) -> bool:
    return 2 * pixels > overlap.truth[truth - 1].area


def _splits(overlap: Overlap, same: Iterable[_Touch]) -> Iterator[Group]:
    parts: dict[int, list[_Touch]] = defaultdict(list)
    for touch in same:
        if touch.within:
            parts[touch.truth].append(touch)
    for i, pieces in parts.items():
        if len(pieces) > 1 and _is_most(overlap, i, sum(piece.pixels for piece in pieces)):
            yield "split", [i], [piece.predicted for piece in pieces]


def _merges(overlap: Overlap, same: Iterable[_Touch]) -> Iterator[Group]:
    taken: dict[int, list[int]] = defaultdict(list)
    for touch in same:
        if _is_most(overlap, touch.truth, touch.pixels):
            taken[touch.predicted].append(touch.truth)
    for j, swallowed in taken.items():
        if len(swallowed) > 1:
            yield "merged", swallowed, [j]


@dataclass
class _Sums:
    """Running sums of one category."""

    tally: PQStat = field(default_factory=PQStat)
    fn: Counter[str] = field(default_factory=Counter)
    fp: Counter[str] = field(default_factory=Counter)


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


def error_table(lines: Lines, categories: Categories, protocol: Protocol = "coco") -> ErrorTable:
    """Compute the error types of image lines in any order, one line at a time."""
    sums: dict[int, _Sums] = defaultdict(_Sums)
    for overlap in overlaps(lines):
        matches = match(overlap, protocol=protocol)
        for category_id, part in pq_stat_of(overlap, matches).items():
            sums[category_id].tally += part
        kinds = assign_error_types(overlap, matches, protocol)
        for i, kind in kinds.fn.items():
            sums[overlap.truth[i - 1].category_id].fn[kind] += 1
        for j, kind in kinds.fp.items():
            sums[overlap.predicted[j - 1].category_id].fp[kind] += 1
    return ErrorTable(categories, tuple(_class_errors(sums[category.id]) for category in categories))


def _class_errors(sums: _Sums) -> ClassErrors:
    one = sums.tally
    halves = one.tp + 0.5 * one.fp + 0.5 * one.fn
    if not halves:
        return ClassErrors(None, dict.fromkeys(ERROR_TYPES), 0, {}, {}, None, None)
    loss = {kind: 0.5 * (sums.fn[kind] + sums.fp[kind]) / halves for kind in ERROR_TYPES}
    # In fixed point until the division, so that the shares add up to 1 - PQ.
    loss["mask quality"] = (one.tp * FIXED_POINT_ONE - one.iou) / FIXED_POINT_ONE / halves
    return ClassErrors(
        one.iou_sum / halves, loss, one.tp, sums.fn, sums.fp,
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
