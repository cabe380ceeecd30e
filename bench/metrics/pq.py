"""Panoptic quality (Kirillov et al., "Panoptic Segmentation", CVPR 2019) of matched images, as in panopticapi."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from bench.errors import DataError
from bench.metrics.columns import Columns, Ints
from bench.metrics.matching import MatchedRows, Protocol, match_rows
from bench.overlap import Overlap
from bench.types import Categories

PQ_VERSION = 1  # goes up with every change that moves a number

T = TypeVar("T")
GROUPS = ("all", "things", "stuff")
MUCH_VOID = 0.2  # share of the truth, above which PQ covers too little of an image: inventions there are forgiven

# A double between one half and one has 53 bits after the point, so that its multiple of 2^53 is a whole number.
FIXED_POINT_ONE = 1 << 53


def to_fixed_point(iou: float) -> int:
    """Return the IoU of a true positive in units of 2^-53."""
    return int(iou * FIXED_POINT_ONE)


@dataclass(frozen=True)
class PQStat:
    """Additive statistics of one category.

    `iou` is the sum of IoU in units of 2^-53. True positives have IoU above 0.5, so the sum is exact and does not
    depend on order or sharding.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou: int = 0

    @classmethod
    def true_positive(cls, iou: float) -> PQStat:
        return cls(tp=1, iou=to_fixed_point(iou))

    @property
    def iou_sum(self) -> float:
        """Sum of IoU, rounded once."""
        return self.iou / FIXED_POINT_ONE

    def __add__(self, other: PQStat) -> PQStat:
        return PQStat(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.iou + other.iou)


def pq_stat(overlap: Overlap, iou_threshold: float = 0.5, protocol: Protocol = "coco") -> dict[int, PQStat]:
    """Return category id → PQStat of one image, only for categories with a TP, FP or FN."""
    columns = Columns.of_overlap(overlap)
    return pq_stats(columns, match_rows(columns, iou_threshold, protocol))


def pq_stats(columns: Columns, rows: MatchedRows) -> dict[int, PQStat]:
    """Return category id → PQStat of all images, only for categories with a TP, FP or FN."""
    return stats_by(columns.truth.category_id, columns.predicted.category_id, rows)


def stats_by(truth: Ints, predicted: Ints, rows: MatchedRows) -> dict[int, PQStat]:
    """Return key → PQStat. `truth` and `predicted` are the keys of the segments; a match has that of its truth."""
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])  # tp, fp, fn, iou
    for key, iou in zip(truth[rows.truth].tolist(), rows.iou.tolist(), strict=True):
        one = sums[key]
        one[0] += 1
        one[3] += to_fixed_point(iou)
    for place, keys in ((1, predicted[rows.fp]), (2, truth[rows.fn])):
        for key, count in Counter(keys.tolist()).items():
            sums[key][place] += count
    return {key: PQStat(*one) for key, one in sums.items()}


def sum_stats(tallies: Iterable[Mapping[int, PQStat]]) -> dict[int, PQStat]:
    """Sum the statistics of any number of images or shards, one at a time."""
    totals: dict[int, PQStat] = {}
    for one in tallies:
        for category_id, part in one.items():
            totals[category_id] = totals.get(category_id, PQStat()) + part
    return totals


@dataclass(frozen=True)
class IgnoredSegments:
    """What PQ leaves out, with the names of done.json; `void_share` is of the pixels of the truth."""

    predicted_segments: int
    on_void: int
    on_crowd: int
    void_share: float
    truth_segments: int
    areas_unlike_pixels: int
    without_pixels: int = 0


class Ignored(NamedTuple):
    """Additive counts of what PQ leaves out, and of declared areas of the truth that its pixels do not have."""

    predicted: int  # segments
    on_void: int  # predicted segments that are forgiven
    on_crowd: int
    pixels: int
    void_pixels: int  # of the truth
    truth: int  # segments
    areas_unlike_pixels: int
    without_pixels: int  # of these segments

    def summary(self) -> IgnoredSegments:
        share = self.void_pixels / self.pixels if self.pixels else 0.0
        return IgnoredSegments(self.predicted, self.on_void, self.on_crowd, share, *self[5:])


def sum_ignored(one: Ignored | None, other: Ignored) -> Ignored:
    return other if one is None else Ignored(*map(sum, zip(one, other, strict=True)))


def ignored_of(columns: Columns, rows: MatchedRows) -> Ignored:
    """Count what the matching leaves out."""
    truth, predicted, void_pixels = columns.truth, columns.predicted, columns.void_pixels
    forgiven = predicted.category_id >= 0
    segments = int(np.count_nonzero(forgiven))
    forgiven[rows.predicted] = forgiven[rows.fp] = False
    on_void = int(np.count_nonzero(forgiven & (2 * void_pixels > predicted.area)))
    listed = truth.category_id >= 0
    empty = listed & (truth.area == 0)
    return Ignored(
        predicted=segments,
        on_void=on_void,
        on_crowd=int(np.count_nonzero(forgiven)) - on_void,
        pixels=int(columns.pairs.pixels.sum()),
        void_pixels=int(void_pixels.sum()),
        truth=int(np.count_nonzero(listed)),
        areas_unlike_pixels=int(np.count_nonzero(empty | (truth.declared_area != truth.area))),
        without_pixels=int(np.count_nonzero(empty)),
    )


@dataclass(frozen=True)
class ClassQuality:
    """Quality of one category. PQ, SQ and RQ are fractions, None if it has no TP, FP or FN."""

    PQ: float | None
    SQ: float | None
    RQ: float | None
    TP: int
    FP: int
    FN: int


@dataclass(frozen=True)
class Quality:
    """Means over the `n` categories of a group that occur, None if none occurs."""

    PQ: float | None
    SQ: float | None
    RQ: float | None
    n: int


@dataclass(frozen=True)
class GroupQuality:
    """Quality of all, thing and stuff categories."""

    all: Quality
    things: Quality
    stuff: Quality

    def items(self) -> list[tuple[str, Quality]]:
        return [(group, getattr(self, group)) for group in GROUPS]


@dataclass(frozen=True)
class PQTable:
    """Quality of the groups, and of each category in their order."""

    groups: GroupQuality
    per_class: tuple[ClassQuality, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the groups as fractions, null if undefined, and the counts of segments over all categories."""
        counts = {name: sum(getattr(row, name) for row in self.per_class) for name in ("TP", "FP", "FN")}
        return {"PQ": asdict(self.groups), **counts}


def pq_table(totals: Mapping[int, PQStat], categories: Categories) -> PQTable:
    """Compute the PQ table."""
    # PQ is the mean of the categories' PQ, as in panopticapi. Mean SQ times mean RQ is another, wrong number.
    check_categories_known(totals, categories)
    per_class = tuple(_class_quality(totals.get(category.id, PQStat())) for category in categories)
    groups = {name: _mean(rows) for name, rows in by_group(per_class, categories).items()}
    return PQTable(GroupQuality(**groups), per_class)


def by_group(rows: Sequence[T], categories: Categories) -> dict[str, list[T]]:
    """Return the rows of all, of thing and of stuff categories; `rows` has one for each category."""
    kinds = {name: [row for row, category in zip(rows, categories, strict=True) if category.isthing == isthing]
             for name, isthing in (("things", True), ("stuff", False))}  # fmt: skip
    return {"all": list(rows), **kinds}


def pq_of(tallies: Mapping[int, PQStat]) -> float | None:
    """Return the mean PQ over the categories that occur."""
    return _mean(map(_class_quality, tallies.values())).PQ


def check_categories_known(category_ids: Iterable[int], categories: Categories) -> None:
    """Raise DataError if a scored category id is not among the categories."""
    unknown = sorted(set(category_ids) - set(categories.ids))
    if unknown:
        raise DataError(f"categories {unknown[:5]} were scored but are not among those of the data set")


def _class_quality(one: PQStat) -> ClassQuality:
    halves = one.tp + 0.5 * one.fp + 0.5 * one.fn
    if halves == 0:
        return ClassQuality(None, None, None, 0, 0, 0)
    iou = one.iou_sum
    return ClassQuality(
        # panopticapi sets SQ to 0, not to undefined, if a category occurs without a match.
        PQ=iou / halves, SQ=iou / one.tp if one.tp else 0.0, RQ=one.tp / halves,
        TP=one.tp, FP=one.fp, FN=one.fn,
    )  # fmt: skip


def _mean(rows: Iterable[ClassQuality]) -> Quality:
    defined = [row for row in rows if row.PQ is not None]
    return Quality(
        mean(row.PQ for row in defined), mean(row.SQ for row in defined), mean(row.RQ for row in defined),
        len(defined),
    )  # fmt: skip


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the defined values, or None if there are none."""
    defined = [value for value in values if value is not None]
    # fsum rounds once, so that the order of the categories does not matter.
    return math.fsum(defined) / len(defined) if defined else None
