"""IoU of semantic maps from one confusion matrix over all images.

Rule `cityscapes` is evalPixelLevelSemanticLabeling of cityscapesScripts: void pixels of the truth are ignored, a void
prediction on valid truth is a miss. Rule `detectron2` is detectron2's SemSegEvaluator: void predictions are ignored
too, and classes without truth are left out of the mean, even if predicted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.overlap import Overlap
from bench.types import Categories, Panoptic

SEMANTIC_VERSION = 1  # goes up with every change that moves a number

# Of one cell of one image. Sums of a million such images still fit into 64 bits.
MOST_PIXELS = 1 << 40

Rule = Literal["cityscapes", "detectron2"]
Rows = list[list[int]]  # [truth index, predicted index, pixels], sorted; index C is void
ConfusionEntries = NDArray[np.int64]  # (n, 3) the same, checked; neither sorted nor summed
Matrix = NDArray[np.int64]  # (C + 1, C + 1) pixels; truth down, prediction across, void last


def semantic_from_panoptic(panoptic: Panoptic, categories: Categories) -> NDArray[np.int32]:
    """Return (H, W) category indices, void = C. Crowd regions count as their class, as in labelIds."""
    index_of = [len(categories), *(_index(s.category_id, categories) for s in panoptic.segments_info)]
    return np.array(index_of, dtype=np.int32)[panoptic.id_map]


def _index(category_id: int, categories: Categories) -> int:
    if category_id not in categories.index_of:
        raise DataError(f"category {category_id} of the ground truth is not among those of the data set")
    return categories.index_of[category_id]


def confusion(truth: NDArray[np.int32], prediction: NDArray[np.integer], categories: Categories) -> Rows:
    """Count (H, W) truth, as category indices with void = C, against (H, W) predicted category ids.

    A predicted id that is not among the categories is void, as an ignored label is in Cityscapes.
    """
    if truth.shape != prediction.shape:
        raise DataError(f"the truth is {truth.shape} px but the semantic map is {prediction.shape} px (H, W)")
    side = len(categories) + 1
    joint = truth.astype(np.int64) * side + category_indices(prediction, categories)
    counts = np.bincount(joint.ravel(), minlength=side * side)
    keys = np.flatnonzero(counts)
    return [
        list(row) for row in zip((keys // side).tolist(), (keys % side).tolist(), counts[keys].tolist(), strict=True)
    ]


def category_indices(ids: NDArray[np.integer], categories: Categories) -> NDArray[np.int32]:
    """Map (H, W) category ids to category indices; any other id to void = C."""
    # A table in place of a search: every id that is not listed is looked up one past the largest.
    beyond = max(categories.ids, default=0) + 1
    table = np.full(beyond + 1, len(categories), dtype=np.int32)
    table[list(categories.ids)] = np.arange(len(categories))
    return table[np.where((ids < 0) | (ids > beyond), beyond, ids)]


def confusion_of(overlap: Overlap, categories: Categories) -> Rows:
    """Return the confusion of two panoptic maps as semantic maps, computed from their overlap."""
    void, (i, j, pixels) = len(categories), overlap.table.T
    truth = np.array([void, *(_index(s.category_id, categories) for s in overlap.truth)])
    predicted = np.array([void, *(categories.index_of.get(s.category_id, void) for s in overlap.predicted)])
    # Several pairs of segments can be one pair of classes.
    cells, places = np.unique(truth[i] * (void + 1) + predicted[j], return_inverse=True)
    sums = np.bincount(places, pixels).astype(np.int64)
    rows: Rows = np.stack([cells // (void + 1), cells % (void + 1), sums], axis=1).tolist()
    return rows


def empty_confusion(categories: Categories) -> Matrix:
    return np.zeros((len(categories) + 1, len(categories) + 1), dtype=np.int64)


def add_to_confusion(matrix: Matrix, cells: ConfusionEntries) -> None:
    # add.at, since `+=` on repeated indices counts one of them.
    np.add.at(matrix, (cells[:, 0], cells[:, 1]), cells[:, 2])


def validated_rows(rows: Iterable[Sequence[int]], void: int) -> ConfusionEntries:
    """Validate the stored rows of one image. Raise DataError unless they fit `void` categories."""
    try:
        table = np.array(list(rows) or np.empty((0, 3), dtype=np.int64))
        fits = table.ndim == 2 and table.shape[1] == 3 and table.dtype.kind == "i" and table.min(initial=0) >= 0
        fits = fits and table[:, :2].max(initial=0) <= void and table[:, 2].max(initial=0) < MOST_PIXELS
    except (ValueError, TypeError):
        fits = False
    if not fits:
        raise DataError("not a stored confusion matrix of these categories; score the predictions again")
    return table


@dataclass(frozen=True)
class IoUTable:
    """IoU by category, in their order, and means, `n` categories in mIoU. Fractions, None if undefined."""

    iou: tuple[float | None, ...]
    miou: float | None
    pixel_accuracy: float | None
    frequency_weighted: float | None
    n: int


def iou_table(matrix: Matrix, rule: Rule) -> IoUTable:
    """Compute IoU = TP / (TP + FP + FN) of each class, their mean, and the means over pixels."""
    # cityscapesScripts (evalPixelLevelSemanticLabeling.py) leaves out void of the truth and counts a predicted void as
    # a miss; detectron2's SemSegEvaluator drops the column of predicted void, too.
    valid = matrix[:-1] if rule == "cityscapes" else matrix[:-1, :-1]
    hits = np.diagonal(valid).tolist()
    truth = valid.sum(axis=1).tolist()
    predicted = valid[:, : len(hits)].sum(axis=0).tolist()
    ious = tuple(
        # SemSegEvaluator takes the mean over classes with truth; a class that is only predicted is left out.
        None if t + p == 0 or (rule == "detectron2" and t == 0) else hit / (t + p - hit)
        for hit, t, p in zip(hits, truth, predicted, strict=True)
    )
    defined = [iou for iou in ious if iou is not None]
    pixels = sum(truth)
    weighted = math.fsum((iou or 0.0) * t for iou, t in zip(ious, truth, strict=True))
    return IoUTable(
        iou=ious,
        miou=math.fsum(defined) / len(defined) if defined else None,
        pixel_accuracy=sum(hits) / pixels if pixels else None,
        frequency_weighted=weighted / pixels if pixels else None,
        n=len(defined),
    )
