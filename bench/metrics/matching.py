"""Matching of the segments of one image, as in panopticapi.

The `coco` protocol is panopticapi's `pq_compute_single_core` with its quirks: ground-truth areas are those of the JSON,
and of several crowd regions of one category only the last listed is an ignore region. The `strict` protocol recounts
the areas and takes every crowd region as an ignore region.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.overlap import Overlap, TruthSegment

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
