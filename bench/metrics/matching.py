"""Matching of the segments of one or many images, as in panopticapi.

The `coco` protocol is panopticapi's `pq_compute_single_core` with its quirks: ground-truth areas are those of the JSON,
and of several crowd regions of one category only the last listed is an ignore region. The `strict` protocol recounts
the areas and takes every crowd region as an ignore region.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metrics.columns import Columns, Ints, TruthColumns
from bench.overlap import Overlap

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


@dataclass(frozen=True, eq=False)
class MatchedRows:
    """Matching of many images: rows of true positives with their IoU, of unmatched and of ignored segments."""

    truth: Ints
    predicted: Ints
    iou: NDArray[np.float64]
    fp: Ints
    fn: Ints

    def only(self, tp: NDArray[np.bool_], fp: NDArray[np.bool_], fn: NDArray[np.bool_]) -> MatchedRows:
        """Return the selected ones."""
        return MatchedRows(self.truth[tp], self.predicted[tp], self.iou[tp], self.fp[fp], self.fn[fn])


def match(overlap: Overlap, iou_threshold: float = 0.5, protocol: Protocol = "coco") -> Matches:
    """Match the segments of one image; see `match_rows`."""
    found = match_rows(Columns.of_overlap(overlap), iou_threshold, protocol)
    # The rows of a single image are its dense ids.
    tp = map(Match, found.truth.tolist(), found.predicted.tolist(), found.iou.tolist())
    return Matches(tuple(tp), tuple(found.fp.tolist()), tuple(found.fn.tolist()))


def match_rows(columns: Columns, iou_threshold: float = 0.5, protocol: Protocol = "coco") -> MatchedRows:
    """Match segments of one category with IoU above the threshold. Raise ValueError if it is below 0.5."""
    return resolve_matches(columns, pair_ious(columns, protocol), iou_threshold, protocol)


def resolve_matches(
    columns: Columns, ious: NDArray[np.float64], iou_threshold: float = 0.5, protocol: Protocol = "coco"
) -> MatchedRows:
    """Match the pairs that `ious` holds the IoU of, (n,), and resolve all other segments to FP, FN or ignored."""
    if iou_threshold < 0.5:
        raise ValueError(f"an IoU threshold of {iou_threshold} is below 0.5, where matches are not unique")
    hits = np.flatnonzero(scored_pairs(columns) & (ious > iou_threshold))
    tp, used = columns.pairs.truth[hits], columns.pairs.predicted[hits]
    # panopticapi/evaluation.py: an unmatched prediction is no false positive if more than half of it lies on void or on
    # crowd of its category, and an unmatched crowd region is no false negative.
    missed = is_scored(columns.truth, protocol)
    missed[tp] = False
    area = columns.predicted.area
    spurious = (columns.predicted.category_id >= 0) & (ignored_pixels(columns, protocol) / np.maximum(area, 1) <= 0.5)
    spurious[used] = False
    return MatchedRows(tp, used, ious[hits], np.flatnonzero(spurious), np.flatnonzero(missed))


def is_scored(truth: TruthColumns, protocol: Protocol) -> NDArray[np.bool_]:
    """Return which segments of the truth are found or missed: no crowd, and by `strict` none without pixels."""
    scored: NDArray[np.bool_] = (truth.category_id >= 0) & ~truth.iscrowd
    return scored if protocol == "coco" else scored & (truth.area > 0)


def scored_pairs(columns: Columns) -> NDArray[np.bool_]:
    """Return which pairs have one category and no crowd region: (n,)."""
    return columns.same & ~columns.truth.iscrowd[columns.pairs.truth]


def pair_ious(columns: Columns, protocol: Protocol = "coco") -> NDArray[np.float64]:
    """Return the IoU of each pair: (n,), meaningless for void."""
    # As in panopticapi, the union leaves out pixels of the prediction on void of the truth, but not those on crowd. It
    # takes the area of the truth from the JSON and that of the prediction from the PNG.
    truth = columns.truth.area if protocol == "strict" else columns.truth.declared_area
    predicted = columns.predicted.area - columns.void_pixels
    i, j, pixels = columns.pairs
    # Rows of void can have an empty union; those of two segments cannot.
    found: NDArray[np.float64] = pixels / np.maximum(truth[i] + predicted[j] - pixels, 1)
    return found


def ignored_pixels(columns: Columns, protocol: Protocol) -> Ints:
    """Return the pixels of each predicted segment on void and on crowd of its category: (P,)."""
    crowds = np.flatnonzero(columns.truth.iscrowd)
    if not len(crowds):
        return columns.void_pixels
    forgives = columns.truth.iscrowd
    if protocol == "coco":
        # A dict by category, as in panopticapi: of several crowd regions of a category it keeps the last listed.
        keys = zip(columns.truth.image[crowds].tolist(), columns.truth.category_id[crowds].tolist(), strict=True)
        forgives = np.zeros(len(forgives), dtype=bool)
        forgives[list(dict(zip(keys, crowds.tolist(), strict=True)).values())] = True
    return columns.predicted_pixels(columns.on_void | (columns.same & forgives[columns.pairs.truth]))
