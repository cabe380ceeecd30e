"""Statistics of image lines: PQ counts, confusion entries, and sums of each image for resampling."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import DataError
from bench.metrics.boundary import BoundarySums
from bench.metrics.columns import Cells, Columns, Ints
from bench.metrics.matching import MatchedRows, Protocol, match_rows
from bench.metrics.pq import Ignored, PQStat, ignored_of, pq_stats, stats_by
from bench.metrics.semantic import Rule
from bench.types import Categories


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sufficient statistics of one or more images: PQ by category id, confusion of both semantic maps.

    PQ statistics, `panoptic` and `ignored` are None if no truth has instances; `boundary` unless it is asked for.
    """

    images: int
    with_semantic: int
    tallies: Mapping[int, PQStat] | None
    panoptic: Cells | None
    semantic: Cells
    ignored: Ignored | None
    boundary: BoundarySums | None = None


def statistics(
    columns: Columns, categories: Categories, protocol: Protocol = "coco", metrics: Collection[str] = ()
) -> Statistics:
    """Return the statistics of all images of the columns. Raise DataError for an unknown category of the truth."""
    tallies, panoptic, ignored = None, None, None
    # Data sets of semantic labels have no overlap.
    if columns.has_overlap.any():
        panoptic = columns.panoptic_cells(categories)
        rows = match_rows(columns, protocol=protocol)
        tallies, ignored = pq_stats(columns, rows), ignored_of(columns, rows)
    boundary = BoundarySums.of(columns, protocol) if "boundary" in metrics else None
    images, with_semantic = len(columns.image_ids), int(columns.has_semantic.sum())
    return Statistics(images, with_semantic, tallies, panoptic, columns.semantic, ignored, boundary)


# Of each category: sum of IoU, TP, TP + FP/2 + FN/2; then of each kind of semantic map pixels that are right,
# pixels of the union, and pixels that make the category occur.
PARTS = (
    "iou", "tp", "halves",
    "semantic_hits", "semantic_union", "semantic_occurs",
    "panoptic_hits", "panoptic_union", "panoptic_occurs",
)  # fmt: skip
Parts = NDArray[np.float64]  # (len(PARTS), C, N)


class Amounts(NamedTuple):
    """What each true positive, false positive and false negative of `rows` adds to a sum: one number, or (n,)."""

    rows: MatchedRows
    tp: ArrayLike
    fp: ArrayLike
    fn: ArrayLike


@dataclass(frozen=True, eq=False)
class ImageSums:
    """Additive sums of each image by their `names`, for resampling, images sorted by id.

    An image has few of the categories: `values` is (len(names), n), for the `cells` category · N + image, rising.
    """

    categories: Categories
    image_ids: tuple[str, ...]
    groups: tuple[str, ...]
    cells: Ints
    values: Parts
    names: tuple[str, ...] = PARTS

    @classmethod
    def of_parts(
        cls, categories: Categories, image_ids: Sequence[str], groups: Sequence[str], parts: Parts,
        names: tuple[str, ...] = PARTS,
    ) -> ImageSums:  # fmt: skip
        """Build from (len(names), C, N) sums."""
        flat = parts.reshape(len(names), parts.shape[1] * parts.shape[2])
        cells = np.flatnonzero(flat.any(axis=0))
        return cls(categories, tuple(image_ids), tuple(groups), cells, flat[:, cells], names)

    @classmethod
    def of_segments(cls, columns: Columns, categories: Categories, parts: Mapping[str, Amounts]) -> ImageSums:
        """Add up amounts by name. Segments of unknown predicted categories are left out."""
        order, place = _by_id(columns)
        truth, predicted = columns.class_indices(categories)
        of_truth = truth * len(order) + place[columns.truth.image]
        of_prediction = predicted * len(order) + place[columns.predicted.image]
        found = [
            (np.full(len(at), row), at, np.broadcast_to(amount, at.shape))
            for row, (rows, tp, fp, fn) in enumerate(parts.values())
            for at, amount in ((of_truth[rows.truth], tp), (of_prediction[rows.fp], fp), (of_truth[rows.fn], fn))
        ]
        row, at, amounts = (np.concatenate(column) for column in zip(*found, strict=True))
        known = at < len(categories) * len(order)
        cells, cell = np.unique(at[known], return_inverse=True)
        values = np.bincount(row[known] * len(cells) + cell, amounts[known], len(parts) * len(cells)).astype(float)
        names, groups = (tuple(column[k] for k in order) for column in (columns.image_ids, columns.groups))
        return cls(categories, names, groups, cells, values.reshape(len(parts), len(cells)), tuple(parts))

    @property
    def parts(self) -> Parts:
        """All sums with their zeros: (len(PARTS), C, N)."""
        found = np.zeros((len(self.names), len(self.categories) * len(self.image_ids)))
        found[:, self.cells] = self.values
        return found.reshape(len(self.names), len(self.categories), len(self.image_ids))

    def by_group(self) -> ImageSums:
        """Return the sums of each group in place of each image."""
        names, groups, parts = sorted(set(self.groups)), np.array(self.groups), self.parts
        summed = np.stack([parts[..., groups == name].sum(axis=2) for name in names], axis=2)
        return self.of_parts(self.categories, names, names, summed, self.names)


def _by_id(columns: Columns) -> tuple[list[int], Ints]:
    """Return the places of the images in the order of their ids, and the place of each in that order."""
    # Sorted by id, so that the draws of a bootstrap meet the same images in every run.
    order = sorted(range(len(columns.image_ids)), key=lambda k: columns.image_ids[k])
    return order, np.argsort(order)


def image_sums(columns: Columns, categories: Categories, rule: Rule, protocol: Protocol = "coco") -> ImageSums:
    """Compute the sums of each image; `rule` is for the semantic output, as in the score."""
    order, place = _by_id(columns)
    images = len(order)
    stats = image_stats(columns, categories, protocol)
    segments = [(one.iou_sum, one.tp, one.tp + 0.5 * one.fp + 0.5 * one.fn) for one in stats.values()]
    at = np.array([index * images + place[image] for image, index in stats], dtype=np.int64)
    # The panoptic map always by rule cityscapes, as in `metrics.score.Scorer`.
    found = [
        (at, np.array(segments).reshape(-1, 3).T),
        _pixels(columns.semantic, place, len(categories), rule),
        _pixels(columns.panoptic_cells(categories), place, len(categories), "cityscapes"),
    ]
    cells = np.unique(np.concatenate([at for at, _ in found]))
    values = np.zeros((len(PARTS), len(cells)))
    for part, (at, own) in zip(np.split(values, 3), found, strict=True):
        part[:, np.searchsorted(cells, at)] = own
    names, groups = (tuple(column[k] for k in order) for column in (columns.image_ids, columns.groups))
    return ImageSums(categories, names, groups, cells, values)


def image_stats(columns: Columns, categories: Categories, protocol: Protocol = "coco") -> dict[tuple[int, int], PQStat]:
    """Return (image, index of the category) → PQStat. Raise DataError for an unknown category that is scored."""
    side = len(categories) + 1
    truth, predicted = columns.class_indices(categories)
    rows = match_rows(columns, protocol=protocol)
    by_key = stats_by(columns.truth.image * side + truth, columns.predicted.image * side + predicted, rows)
    found = {divmod(key, side): one for key, one in by_key.items()}
    unknown = next((image for image, index in found if index == len(categories)), None)
    if unknown is not None:
        raise DataError(
            f"image {columns.image_ids[unknown]!r}: predicted categories were scored but are not among those of the "
            "data set"
        )
    return found


def _pixels(cells: Cells, place: Ints, void: int, rule: Rule) -> tuple[Ints, Parts]:
    """Return where classes occur, (n,) category · N + place, and their hits, union and occurrence: (3, n).

    They are those of `iou_table` before the division. Integers, so exact.
    """
    cells = cells[cells[:, 1] != void]
    if rule == "detectron2":
        cells = cells[cells[:, 2] != void]
    image, truth_at, predicted_at, pixels = cells.T
    right = cells[truth_at == predicted_at]
    truth, predicted, hits = (
        np.bincount(index * len(place) + place[of], counts, (void + 1) * len(place))[: void * len(place)]
        for index, of, counts in (
            (truth_at, image, pixels), (predicted_at, image, pixels), (right[:, 1], right[:, 0], right[:, 3]),
        )
    )  # fmt: skip
    union = truth + predicted - hits
    at = np.flatnonzero(union)
    # A class is in the mean if it has truth (detectron2), or if it occurs at all (Cityscapes).
    occurs = truth if rule == "detectron2" else union
    return at, np.stack([hits[at], union[at], occurs[at]])
