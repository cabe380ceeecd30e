"""Image lines → the score of a run. Reads the lines one by one; what it keeps does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import DataError, UsageError
from bench.metrics import pq, semantic
from bench.metrics.counted import Counted, count
from bench.metrics.lines import Lines
from bench.metrics.pq import DEVIATIONS, ClassQuality, PQTable, Protocol, Tally
from bench.metrics.semantic import IoUTable, Matrix, Rule
from bench.types import Categories, Category


@dataclass(frozen=True)
class Score:
    """The numbers of a run. `semantic` is the model's semantic output, `panoptic` its rasterised panoptic map,
    each None where the run has none."""

    categories: Categories
    pq: PQTable
    semantic: IoUTable | None
    panoptic: IoUTable | None
    images: int
    protocol: Protocol

    def to_json(self) -> dict[str, Any]:
        """Fractions in 0..1, null where undefined."""
        return {
            "PQ": self.pq.to_json()["PQ"],
            "mIoU": self._kinds("miou"),
            "pixel_accuracy": self._kinds("pixel_accuracy"),
            "frequency_weighted_IoU": self._kinds("frequency_weighted"),
            "per_class": [
                {**_class(category, row), "IoU": self._class_iou(k)}
                for k, (category, row) in enumerate(zip(self.categories, self.pq.per_class, strict=True))
            ],
            "images": self.images,
            "protocol": self.protocol,
            "reference_deviations": list(DEVIATIONS[self.protocol]),
        }

    def _kinds(self, field: str) -> dict[str, float | None]:
        return {
            "semantic": getattr(self.semantic, field) if self.semantic else None,
            "panoptic": getattr(self.panoptic, field) if self.panoptic else None,
        }

    def _class_iou(self, k: int) -> dict[str, float | None]:
        return {
            "semantic": self.semantic.iou[k] if self.semantic else None,
            "panoptic": self.panoptic.iou[k] if self.panoptic else None,
        }


def _class(category: Category, row: ClassQuality) -> dict[str, Any]:
    return {
        "category_id": category.id, "name": category.name, "isthing": category.isthing,
        "PQ": row.pq, "SQ": row.sq, "RQ": row.rq, "TP": row.tp, "FP": row.fp, "FN": row.fn,
    }  # fmt: skip


def score(lines: Lines, categories: Categories, rule: Rule, protocol: Protocol = "coco") -> Score:
    """The score of image lines in any order: identical for every order and every cut into shards.

    `rule` is for the semantic output. The panoptic map is always scored by rule `cityscapes`, where saying
    nothing is a miss: dropping its void would reward a model for leaving hard pixels out.
    """
    return score_counted(count(lines, categories, protocol), categories, rule, protocol)


def score_counted(images: Iterable[Counted], categories: Categories, rule: Rule, protocol: Protocol = "coco") -> Score:
    """The same, of images that were counted before, by this protocol."""
    if protocol not in DEVIATIONS:
        raise UsageError(f"unknown protocol {protocol!r:.40}; it is one of {', '.join(DEVIATIONS)}")
    sums = _Sums(semantic.empty(categories), semantic.empty(categories))
    totals = pq.total(_tallies(images, sums))
    if 0 < sums.with_semantic < sums.images:
        raise DataError(
            f"{sums.images - sums.with_semantic} of {sums.images} images have no semantic map "
            "and the others do; score them apart or predict them again"
        )
    return Score(
        categories=categories,
        pq=pq.pq_table(totals, categories),
        semantic=semantic.iou_table(sums.semantic, rule) if sums.with_semantic else None,
        panoptic=semantic.iou_table(sums.panoptic, "cityscapes") if sums.with_overlap else None,
        images=sums.images,
        protocol=protocol,
    )


@dataclass
class _Sums:
    """Running sums of one pass over the images."""

    semantic: Matrix
    panoptic: Matrix
    images: int = 0
    with_semantic: int = 0
    with_overlap: int = 0


def _tallies(images: Iterable[Counted], sums: _Sums) -> Iterator[Mapping[int, Tally]]:
    """The PQ statistics of each image; the rest goes into `sums`."""
    for image in images:
        sums.images += 1
        if image.semantic is not None:
            sums.with_semantic += 1
            semantic.add(sums.semantic, image.semantic)
        if image.tallies is not None and image.panoptic is not None:
            sums.with_overlap += 1
            semantic.add(sums.panoptic, image.panoptic)
            yield image.tallies
