"""Panoptic quality (Kirillov et al., "Panoptic Segmentation", CVPR 2019), computed as in panopticapi.

The `coco` protocol is panopticapi's `pq_compute_single_core` with its quirks: ground-truth areas are those of the JSON,
and of several crowd regions of one category only the last listed is an ignore region. The `strict` protocol recounts
the areas and takes every crowd region as an ignore region.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.overlap import Overlap, TruthSegment
from bench.types import Categories

PQ_VERSION = 1  # goes up with every change that moves a number

T = TypeVar("T")
GROUPS = ("all", "things", "stuff")
MUCH_VOID = 0.2  # share of the truth, above which PQ covers too little of an image: inventions there are forgiven

Protocol = Literal["coco", "strict"]
DEVIATIONS: Mapping[Protocol, tuple[str, ...]] = {
    "coco": (),
    "strict": ("ground-truth areas are recounted", "every crowd region of a category forgives"),
}


class Match(NamedTuple):
    """Pair of segments, as dense ids, and its IoU."""

    truth: int
    predicted: int
    iou: float


@dataclass(frozen=True)
class Matches:
    """Matching of one image; `fp` and `fn` are dense ids.

    A predicted segment in neither `tp` nor `fp` is ignored: most of it lies on void or crowd.
    """

    tp: tuple[Match, ...]
    fp: tuple[int, ...]
    fn: tuple[int, ...]


def match(overlap: Overlap, iou_threshold: float = 0.5, protocol: Protocol = "coco") -> Matches:
    """Match segments of one category with IoU above the threshold. Raise ValueError if it is below 0.5."""
    if iou_threshold < 0.5:
        raise ValueError(f"an IoU threshold of {iou_threshold} is below 0.5, where matches are not unique")
    return resolve_matches(
        overlap, (hit for hit in same_category_pairs(overlap, protocol) if hit.iou > iou_threshold), protocol
    )


def resolve_matches(overlap: Overlap, hits: Iterable[Match], protocol: Protocol = "coco") -> Matches:
    """Resolve the segments that are not in the true positives `hits` to FP, FN or ignored."""
    tp = tuple(hits)
    found, used = {hit.truth for hit in tp}, {hit.predicted for hit in tp}
    # panopticapi/evaluation.py: an unmatched prediction is no false positive if more than half of it lies on void or on
    # crowd of its category, and an unmatched crowd region is no false negative.
    forgiven = _ignored_pixels(overlap, protocol).tolist()
    return Matches(
        tp,
        fp=tuple(
            j for j, segment in enumerate(overlap.predicted, 1) if j not in used and forgiven[j] / segment.area <= 0.5
        ),
        fn=tuple(i for i, segment in enumerate(overlap.truth, 1) if i not in found and is_scored(segment, protocol)),
    )


def is_scored(segment: TruthSegment, protocol: Protocol) -> bool:
    """Return whether a segment of the truth is found or missed: no crowd, and by `strict` none without pixels."""
    return not segment.iscrowd and (protocol == "coco" or segment.area > 0)


def same_category_pairs(overlap: Overlap, protocol: Protocol = "coco") -> list[Match]:
    """Return every overlapping pair of one category with its IoU; crowd regions are left out."""
    meant = np.array([-1, *(-1 if s.iscrowd else s.category_id for s in overlap.truth)])
    made = np.array([-2, *(s.category_id for s in overlap.predicted)])
    i, j, _ = overlap.table.T
    # -1 and -2 differ, so that neither void nor crowd pairs with anything.
    rows = meant[i] == made[j]
    return list(map(Match, i[rows].tolist(), j[rows].tolist(), pair_ious(overlap, protocol)[rows].tolist()))


def pair_ious(overlap: Overlap, protocol: Protocol = "coco") -> NDArray[np.float64]:
    """Return the IoU of each row of the table: (n,), meaningless for void."""
    # As in panopticapi, the union leaves out pixels of the prediction on void of the truth, but not those on crowd.
    truth = np.array([0, *(_scored_area(segment, protocol) for segment in overlap.truth)])
    predicted = np.array([0, *(segment.area for segment in overlap.predicted)]) - overlap.void_pixels
    i, j, pixels = overlap.table.T
    union = truth[i] + predicted[j] - pixels
    # Rows of void can have an empty union; those of two segments cannot.
    found: NDArray[np.float64] = pixels / np.maximum(union, 1)
    return found


def _scored_area(segment: TruthSegment, protocol: Protocol) -> float:
    # panopticapi takes the area of the truth from the JSON and that of the prediction from the PNG.
    if protocol == "strict" or segment.declared_area is None:
        return segment.area
    return segment.declared_area


def _ignored_pixels(overlap: Overlap, protocol: Protocol) -> NDArray[np.int64]:
    """Return the pixels of each predicted segment on void and on crowd of its category: (P + 1,)."""
    # A dict by category, as in panopticapi: of several crowd regions of a category it keeps the last listed.
    crowds = {s.category_id: i for i, s in enumerate(overlap.truth, 1) if s.iscrowd}
    if not crowds:
        return overlap.void_pixels
    i, j, _ = overlap.table.T
    made = np.array([-1, *(s.category_id for s in overlap.predicted)])
    if protocol == "coco":
        forgives = i == np.array([crowds.get(category_id, -1) for category_id in made.tolist()])[j]
    else:
        forgives = made[j] == np.array([-2, *(s.category_id if s.iscrowd else -2 for s in overlap.truth)])[i]
    return overlap.predicted_pixels((i == 0) | forgives)


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
    return pq_stat_of(overlap, match(overlap, iou_threshold, protocol))


def pq_stat_of(overlap: Overlap, matches: Matches) -> dict[int, PQStat]:
    sums: dict[int, list[int]] = {}  # tp, fp, fn, iou
    for i, _, iou in matches.tp:
        one = sums.setdefault(overlap.truth[i - 1].category_id, [0, 0, 0, 0])
        one[0] += 1
        one[3] += to_fixed_point(iou)
    for place, segments, numbers in ((1, overlap.predicted, matches.fp), (2, overlap.truth, matches.fn)):
        for number in numbers:
            sums.setdefault(segments[number - 1].category_id, [0, 0, 0, 0])[place] += 1
    return {category_id: PQStat(*one) for category_id, one in sums.items()}


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


def ignored_of(overlap: Overlap, matches: Matches) -> Ignored:
    """Count what the matching of an image leaves out."""
    counted = {hit.predicted for hit in matches.tp} | set(matches.fp)
    forgiven = [j for j in range(1, len(overlap.predicted) + 1) if j not in counted]
    on_void = sum(bool(2 * overlap.void_pixels[j] > overlap.predicted[j - 1].area) for j in forgiven)
    return Ignored(
        predicted=len(overlap.predicted),
        on_void=on_void,
        on_crowd=len(forgiven) - on_void,
        pixels=overlap.image_px,
        void_pixels=int(overlap.void_pixels.sum()),
        truth=len(overlap.truth),
        areas_unlike_pixels=sum(not s.area or s.declared_area not in (None, s.area) for s in overlap.truth),
        without_pixels=sum(not s.area for s in overlap.truth),
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
