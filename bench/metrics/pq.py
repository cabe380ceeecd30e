"""Panoptic quality (Kirillov et al., "Panoptic Segmentation", CVPR 2019), counted as panopticapi counts it.

The `coco` protocol is panopticapi's `pq_compute_single_core` with its quirks: ground-truth areas are those
of the JSON, and of several crowd regions of one category only the last listed forgives. The `strict`
protocol recounts the areas and honours every crowd region.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from bench.errors import DataError
from bench.overlap import Overlap, Pair, TruthSegment
from bench.types import Categories

PQ_VERSION = 1  # goes up with every change that moves a number

Protocol = Literal["coco", "strict"]
DEVIATIONS: Mapping[Protocol, tuple[str, ...]] = {
    "coco": (),
    "strict": ("ground-truth areas are recounted", "every crowd region of a category forgives"),
}


class Match(NamedTuple):
    """A true positive: two dense ids and their IoU."""

    truth: int
    predicted: int
    iou: float


@dataclass(frozen=True)
class Matches:
    """What became of the segments of one image; `fp` and `fn` are dense ids.

    A predicted segment in neither `tp` nor `fp` was forgiven: most of it lies on void or crowd.
    """

    tp: tuple[Match, ...]
    fp: tuple[int, ...]
    fn: tuple[int, ...]


def match(overlap: Overlap, iou_threshold: float = 0.5, protocol: Protocol = "coco") -> Matches:
    """Pairs segments of one category whose IoU is above the threshold; below 0.5 pairs are not unique."""
    if iou_threshold < 0.5:
        raise ValueError(f"an IoU threshold of {iou_threshold} is below 0.5, where matches are not unique")
    return settle(overlap, (hit for hit in same_class(overlap, protocol) if hit.iou > iou_threshold), protocol)


def settle(overlap: Overlap, hits: Iterable[Match], protocol: Protocol = "coco") -> Matches:
    """What becomes of all the other segments, where `hits` are the true positives."""
    tp = tuple(hits)
    found, used = {hit.truth for hit in tp}, {hit.predicted for hit in tp}
    ignored = _ignored_pixels(overlap, protocol)
    return Matches(
        tp,
        fp=tuple(
            j
            for j, segment in enumerate(overlap.predicted, 1)
            if j not in used and ignored.get(j, 0) / segment.area <= 0.5
        ),
        fn=tuple(i for i, segment in enumerate(overlap.truth, 1) if i not in found and not segment.iscrowd),
    )


def same_class(overlap: Overlap, protocol: Protocol = "coco") -> Iterator[Match]:
    """Every touching pair of one category with its IoU; crowd regions match nothing."""
    void = overlap.void_pixels
    for pair in overlap.pairs:
        i, j, _ = pair
        if i == 0 or j == 0:
            continue
        truth, predicted = overlap.truth[i - 1], overlap.predicted[j - 1]
        if not truth.iscrowd and truth.category_id == predicted.category_id:
            yield Match(i, j, pair_iou(overlap, pair, void.get(j, 0), protocol))


def pair_iou(overlap: Overlap, pair: Pair, void_px: int, protocol: Protocol = "coco") -> float:
    """The IoU of a pair; the predicted segment's `void_px` pixels on void of the truth are not in the union."""
    i, j, pixels = pair
    union = overlap.predicted[j - 1].area + _scored_area(overlap.truth[i - 1], protocol) - pixels - void_px
    return pixels / union


def _scored_area(segment: TruthSegment, protocol: Protocol) -> int:
    if protocol == "strict" or segment.declared_area is None:
        return segment.area
    return segment.declared_area


def _ignored_pixels(overlap: Overlap, protocol: Protocol) -> dict[int, int]:
    """Predicted dense id → its pixels on void and on crowd of its own category."""
    crowds = {s.category_id: i for i, s in enumerate(overlap.truth, 1) if s.iscrowd}  # the last listed
    pixels: dict[int, int] = {}
    for i, j, n in overlap.pairs:
        if j and (i == 0 or _forgives(overlap, i, j, crowds, protocol)):
            pixels[j] = pixels.get(j, 0) + n
    return pixels


def _forgives(overlap: Overlap, i: int, j: int, crowds: Mapping[int, int], protocol: Protocol) -> bool:
    category_id = overlap.predicted[j - 1].category_id
    if protocol == "coco":
        return crowds.get(category_id) == i
    return overlap.truth[i - 1].iscrowd and overlap.truth[i - 1].category_id == category_id


@dataclass(frozen=True)
class Tally:
    """The additive statistics of one category. The IoU sum is exact, so no order or sharding can move it."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou: Fraction = Fraction()

    @classmethod
    def hit(cls, iou: float) -> Tally:
        """One true positive."""
        return cls(tp=1, iou=Fraction(iou))

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.iou + other.iou)


def tally(overlap: Overlap, iou_threshold: float = 0.5, protocol: Protocol = "coco") -> dict[int, Tally]:
    """The statistics of one image: category id → `Tally`, only for categories with a TP, FP or FN."""
    return tally_of(overlap, match(overlap, iou_threshold, protocol))


def tally_of(overlap: Overlap, matches: Matches) -> dict[int, Tally]:
    """The statistics of one image whose segments were matched before."""
    parts = [
        *((overlap.truth[i - 1].category_id, Tally.hit(iou)) for i, _, iou in matches.tp),
        *((overlap.predicted[j - 1].category_id, Tally(fp=1)) for j in matches.fp),
        *((overlap.truth[i - 1].category_id, Tally(fn=1)) for i in matches.fn),
    ]
    return total({category_id: part} for category_id, part in parts)


def total(tallies: Iterable[Mapping[int, Tally]]) -> dict[int, Tally]:
    """The sum of any number of tallies, of images or of shards; reads them one by one."""
    totals: dict[int, Tally] = {}
    for one in tallies:
        for category_id, part in one.items():
            totals[category_id] = totals[category_id] + part if category_id in totals else part
    return totals


@dataclass(frozen=True)
class ClassQuality:
    """One category; PQ, SQ and RQ are fractions, None where the category has no TP, FP or FN."""

    pq: float | None
    sq: float | None
    rq: float | None
    tp: int
    fp: int
    fn: int


@dataclass(frozen=True)
class Quality:
    """Means over the `n` categories of a group that occur; None where none does."""

    pq: float | None
    sq: float | None
    rq: float | None
    n: int

    def to_json(self) -> dict[str, float | int | None]:
        return {"PQ": self.pq, "SQ": self.sq, "RQ": self.rq, "n": self.n}


@dataclass(frozen=True)
class PQTable:
    """`per_class` is in the order of the categories."""

    all: Quality
    things: Quality
    stuff: Quality
    per_class: tuple[ClassQuality, ...]

    def to_json(self) -> dict[str, Any]:
        """The groups as fractions, null where undefined, and the counts of segments over all categories."""
        return {
            "PQ": {name: getattr(self, name).to_json() for name in ("all", "things", "stuff")},
            "TP": sum(row.tp for row in self.per_class),
            "FP": sum(row.fp for row in self.per_class),
            "FN": sum(row.fn for row in self.per_class),
        }


def pq_table(totals: Mapping[int, Tally], categories: Categories) -> PQTable:
    """PQ is the mean of the categories' PQ, never mean SQ times mean RQ."""
    demand_known(totals, categories)
    per_class = tuple(_class_quality(totals.get(category.id, Tally())) for category in categories)
    rows = list(zip(per_class, categories, strict=True))
    return PQTable(
        all=_mean(per_class),
        things=_mean([row for row, category in rows if category.isthing]),
        stuff=_mean([row for row, category in rows if not category.isthing]),
        per_class=per_class,
    )


def demand_known(category_ids: Iterable[int], categories: Categories) -> None:
    """DataError where something was scored that is no category."""
    unknown = sorted(set(category_ids) - set(categories.ids))
    if unknown:
        raise DataError(f"categories {unknown[:5]} were scored but are not among those of the data set")


def _class_quality(one: Tally) -> ClassQuality:
    halves = one.tp + 0.5 * one.fp + 0.5 * one.fn
    if halves == 0:
        return ClassQuality(None, None, None, 0, 0, 0)
    iou = float(one.iou)
    return ClassQuality(
        pq=iou / halves, sq=iou / one.tp if one.tp else 0.0, rq=one.tp / halves,
        tp=one.tp, fp=one.fp, fn=one.fn,
    )  # fmt: skip


def _mean(rows: Iterable[ClassQuality]) -> Quality:
    defined = [row for row in rows if row.pq is not None]
    return Quality(
        mean(row.pq for row in defined), mean(row.sq for row in defined), mean(row.rq for row in defined),
        len(defined),
    )  # fmt: skip


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are defined, None where none is."""
    defined = [value for value in values if value is not None]
    return math.fsum(defined) / len(defined) if defined else None
