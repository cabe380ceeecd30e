"""Statistics of one stored image line: PQ counts, confusion entries, sums for resampling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError, error_context
from bench.metrics import pq, semantic
from bench.metrics.matching import Protocol, match
from bench.metrics.pq import PQStat
from bench.metrics.semantic import ConfusionEntries, Rule
from bench.overlap import Overlap
from bench.types import Categories

Lines = Iterable[Mapping[str, Any]]


def overlap_of(line: Mapping[str, Any]) -> Overlap:
    """Return the overlap of a line that has one, decoded if it is stored JSON."""
    found = line["overlap"]
    return found if isinstance(found, Overlap) else Overlap.from_json(found)


def overlaps(lines: Lines) -> Iterator[Overlap]:
    """Yield the overlap of each line. Raise DataError if a line has none: semantic labels have no segments."""
    for line in lines:
        if line.get("overlap") is None:
            raise DataError(
                f"image {line.get('image_id')!r}: has no instances in its ground truth, so there are no segments "
                "to explain; --confusion needs none"
            )
        yield overlap_of(line)


@dataclass(frozen=True, eq=False)
class ImageStatistics:
    """Sufficient statistics of one image: PQ statistics by category id, confusion entries of both semantic maps.

    PQ statistics, `panoptic` and `ignored` are None if the truth has no instances, `semantic` if the model has no
    semantic output.
    """

    image_id: str
    group: str
    tallies: Mapping[int, PQStat] | None
    panoptic: ConfusionEntries | None
    semantic: ConfusionEntries | None
    ignored: pq.Ignored | None = None


def statistics_of_lines(lines: Lines, categories: Categories, protocol: Protocol = "coco") -> Iterator[ImageStatistics]:
    """Yield the statistics of image lines, one line at a time."""
    for line in lines:
        yield statistics_of_line(line, categories, protocol)


def statistics_of_line(line: Mapping[str, Any], categories: Categories, protocol: Protocol = "coco") -> ImageStatistics:
    """Return the statistics of one line. Raise DataError, naming the image, if the line is broken."""
    tallies, panoptic, own, ignored = None, None, None, None
    with error_context(f"image {line.get('image_id')!r}"):
        if line.get("semantic") is not None:
            own = semantic.validated_rows(line["semantic"], len(categories))
        # Data sets of semantic labels have no overlap.
        if line.get("overlap") is not None:
            overlap = overlap_of(line)
            panoptic = semantic.confusion_entries(overlap, categories)
            matches = match(overlap, protocol=protocol)
            tallies, ignored = pq.pq_stat_of(overlap, matches), pq.ignored_of(overlap, matches)
    return ImageStatistics(str(line.get("image_id")), str(line.get("group")), tallies, panoptic, own, ignored)


# Of each category: sum of IoU, TP, TP + FP/2 + FN/2; then of each kind of semantic map pixels that are right,
# pixels of the union, and pixels that make the category occur.
PARTS = (
    "iou", "tp", "halves",
    "semantic_hits", "semantic_union", "semantic_occurs",
    "panoptic_hits", "panoptic_union", "panoptic_occurs",
)  # fmt: skip
Parts = NDArray[np.float64]  # (len(PARTS), C, N)


@dataclass(frozen=True, eq=False)
class ImageSums:
    """Additive sums of each image, for resampling.

    `parts` is (len(PARTS), C, N), images sorted by id; `kinds` are the semantic maps that exist.
    """

    categories: Categories
    image_ids: tuple[str, ...]
    groups: tuple[str, ...]
    parts: Parts
    kinds: frozenset[str]

    def by_group(self) -> Parts:
        """Return the parts summed over the images of each group: (len(PARTS), C, number of groups)."""
        groups = np.array(self.groups)
        return np.stack([self.parts[..., groups == name].sum(axis=2) for name in sorted(set(self.groups))], axis=2)


def image_sums_of_lines(lines: Lines, categories: Categories, rule: Rule, protocol: Protocol = "coco") -> ImageSums:
    """Compute the sums of image lines in any order; `rule` is for the semantic output, as in the score."""
    return image_sums(statistics_of_lines(lines, categories, protocol), categories, rule)


def image_sums(images: Iterable[ImageStatistics], categories: Categories, rule: Rule) -> ImageSums:
    # Sorted by id, so that the draws of a bootstrap meet the same images in every run.
    rows = sorted((_image(image, categories, rule) for image in images), key=lambda row: row.image_id)
    shape = (len(PARTS), len(categories), len(rows))
    parts = np.zeros(shape)
    for k, row in enumerate(rows):
        for name, places, values in row.entries:
            parts[PARTS.index(name), places, k] = values
    kinds = frozenset(kind for row in rows for kind in row.kinds)
    return ImageSums(categories, tuple(r.image_id for r in rows), tuple(r.group for r in rows), parts, kinds)


Entry = tuple[str, Sequence[int], Sequence[float]]  # a part, places of categories, what they add


@dataclass(frozen=True)
class _Image:
    """Sparse sums of one image, which has few of the categories."""

    image_id: str
    group: str
    entries: tuple[Entry, ...]
    kinds: tuple[str, ...]


def _image(image: ImageStatistics, categories: Categories, rule: Rule) -> _Image:
    entries: list[Entry] = []
    kinds = []
    if image.tallies is not None and image.panoptic is not None:
        # Always by rule cityscapes, as in `metrics.score.Scorer`.
        entries += _pixels("panoptic", image.panoptic, len(categories), "cityscapes")
        with error_context(f"image {image.image_id!r}"):
            entries += _segments(image.tallies, categories)
        kinds.append("panoptic")
    if image.semantic is not None:
        entries += _pixels("semantic", image.semantic, len(categories), rule)
        kinds.append("semantic")
    return _Image(image.image_id, image.group, tuple(entries), tuple(kinds))


def _segments(tallies: Mapping[int, pq.PQStat], categories: Categories) -> list[Entry]:
    pq.check_categories_known(tallies, categories)
    places = [categories.index_of[category_id] for category_id in tallies]
    found = list(tallies.values())
    return [
        ("iou", places, [one.iou_sum for one in found]),
        ("tp", places, [one.tp for one in found]),
        ("halves", places, [one.tp + 0.5 * one.fp + 0.5 * one.fn for one in found]),
    ]


def _pixels(kind: str, cells: ConfusionEntries, void: int, rule: Rule) -> list[Entry]:
    """Return hits, union and occurrence by category, as in `iou_table` before the division. Integers, so exact."""
    truth_at, predicted_at, pixels = cells[cells[:, 0] != void].T
    if rule == "detectron2":
        truth_at, predicted_at, pixels = (column[predicted_at != void] for column in (truth_at, predicted_at, pixels))
    right = truth_at == predicted_at
    truth, predicted, hits = (
        np.bincount(places, counts, void + 1)
        for places, counts in ((truth_at, pixels), (predicted_at, pixels), (truth_at[right], pixels[right]))
    )
    union = truth + predicted - hits
    places = np.flatnonzero(union[:void]).tolist()
    # A class is in the mean if it has truth (detectron2), or if it occurs at all (Cityscapes).
    occurs = truth if rule == "detectron2" else union
    return [
        (f"{kind}_{name}", places, values[places].tolist())
        for name, values in (("hits", hits), ("union", union), ("occurs", occurs))
    ]
