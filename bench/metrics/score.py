"""Score of a run from image statistics, optionally with boundary PQ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from bench.errors import DataError, UsageError
from bench.metrics import pq, semantic
from bench.metrics.boundary import BoundarySums, BoundaryTable
from bench.metrics.image_statistics import ImageStatistics, Lines, statistics_of_lines
from bench.metrics.pq import DEVIATIONS, ClassQuality, PQStat, PQTable, Protocol
from bench.metrics.semantic import IoUTable, Rule
from bench.types import Categories, Category


@dataclass(frozen=True)
class Score:
    """Score of a run.

    `semantic` is the IoU of the model's semantic output, `panoptic` that of its rasterised panoptic map; None if the
    run has none. `boundary` is None unless it was requested.
    """

    categories: Categories
    pq: PQTable
    semantic: IoUTable | None
    panoptic: IoUTable | None
    images: int
    protocol: Protocol
    boundary: BoundaryTable | None = None

    def to_json(self) -> dict[str, Any]:
        """Return fractions in 0..1, null if undefined."""
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
            **({} if self.boundary is None else {"boundary": self.boundary.to_json()}),
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


class Scorer:
    """Accumulates image statistics to a score, exactly the same in any order and sharding, in constant memory.

    `rule` is for the semantic output. The panoptic map is always scored by rule `cityscapes`, where a void prediction
    is a miss. `metrics` names optional metrics.
    """

    def __init__(
        self, categories: Categories, rule: Rule, protocol: Protocol = "coco", metrics: Collection[str] = ()
    ) -> None:
        if protocol not in DEVIATIONS:
            raise UsageError(f"unknown protocol {protocol!r:.40}; it is one of {', '.join(DEVIATIONS)}")
        self._categories, self._rule, self._protocol = categories, rule, protocol
        self._tallies: dict[int, PQStat] = {}
        self._semantic, self._panoptic = semantic.empty_confusion(categories), semantic.empty_confusion(categories)
        self._images = self._with_semantic = self._with_overlap = 0
        self._boundary = BoundarySums(categories, protocol) if "boundary" in metrics else None

    def add(self, image: ImageStatistics, line: Mapping[str, Any] | None = None) -> None:
        """Add the statistics of an image; boundary PQ also needs its line."""
        self._images += 1
        if image.semantic is not None:
            self._with_semantic += 1
            semantic.add_to_confusion(self._semantic, image.semantic)
        if image.tallies is not None and image.panoptic is not None:
            self._with_overlap += 1
            semantic.add_to_confusion(self._panoptic, image.panoptic)
            for category_id, part in image.tallies.items():
                self._tallies[category_id] = self._tallies.get(category_id, PQStat()) + part
        if self._boundary is not None:
            assert line is not None
            self._boundary.add(line)

    def score(self) -> Score:
        """Return the score so far. Raise DataError if only some images have a semantic map."""
        # A mean over the images that happen to have a map would compare with no other run.
        if 0 < self._with_semantic < self._images:
            raise DataError(
                f"{self._images - self._with_semantic} of {self._images} images have no semantic map "
                "and the others do; score them apart or predict them again"
            )
        return Score(
            categories=self._categories,
            pq=pq.pq_table(self._tallies, self._categories),
            semantic=semantic.iou_table(self._semantic, self._rule) if self._with_semantic else None,
            # By rule detectron2 a void prediction is ignored, which would reward a panoptic map that leaves out hard
            # pixels.
            panoptic=semantic.iou_table(self._panoptic, "cityscapes") if self._with_overlap else None,
            images=self._images,
            protocol=self._protocol,
            boundary=None if self._boundary is None else self._boundary.table(),
        )


def score(lines: Iterable[Mapping[str, Any]], categories: Categories, rule: Rule, protocol: Protocol = "coco") -> Score:
    """Return the score of image lines in any order."""
    scorer = Scorer(categories, rule, protocol)
    for image in statistics_of_lines(lines, categories, protocol):
        scorer.add(image)
    return scorer.score()


def totals(
    lines: Callable[[], Lines],
    categories: Categories,
    rules: Mapping[str, Any],
    metrics: Collection[str] = (),
    counted: Iterable[ImageStatistics] | None = None,
) -> dict[str, Any]:
    """Return the score of stored lines as JSON. Each call of `lines` must read them anew.

    Statistics of the same lines, computed by the protocol of these rules, are used if given; None computes them.
    """
    scorer = Scorer(categories, rules["semantic_rule"], rules["protocol"], metrics)
    images = statistics_of_lines(lines(), categories, rules["protocol"]) if counted is None else counted
    for image, line in zip(images, lines() if metrics else repeat(None), strict=bool(metrics)):
        scorer.add(image, line)
    return scorer.score().to_json()
