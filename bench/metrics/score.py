"""Score of a run from image statistics, optionally with boundary PQ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.errors import DataError, UsageError
from bench.metrics import pq, semantic
from bench.metrics.boundary import BoundarySums
from bench.metrics.columns import Columns
from bench.metrics.image_statistics import Statistics, statistics
from bench.metrics.matching import DEVIATIONS, Protocol
from bench.metrics.pq import GroupQuality, Ignored, IgnoredSegments, PQStat
from bench.metrics.semantic import Rule, iou_table
from bench.types import Categories


@dataclass(frozen=True)
class SemanticQuality:
    """One number of the model's semantic output and of its rasterised panoptic map; None if the run has none."""

    semantic: float | None
    panoptic: float | None


@dataclass(frozen=True)
class ClassScore:
    """Score of one category; TP, FP and FN count segments."""

    category_id: int
    name: str
    isthing: bool
    PQ: float | None
    SQ: float | None
    RQ: float | None
    TP: int
    FP: int
    FN: int
    IoU: SemanticQuality


@dataclass(frozen=True, kw_only=True)
class Score:
    """Score of a run, with the names and the order of done.json. Fractions, None if undefined.

    `boundary` is the JSON of boundary PQ, None unless it was asked for; `ignored` is None if the truth has no
    instances. Scores of early versions lack the means over pixels.
    """

    PQ: GroupQuality
    mIoU: SemanticQuality
    pixel_accuracy: SemanticQuality | None = None
    frequency_weighted_IoU: SemanticQuality | None = None
    per_class: tuple[ClassScore, ...]
    images: int
    protocol: Protocol
    reference_deviations: tuple[str, ...] = ()
    boundary: Mapping[str, Any] | None = None
    ignored: IgnoredSegments | None = None

    def to_json(self) -> dict[str, Any]:
        stored = {name: value for name, value in asdict(self).items() if value is not None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in stored.items()}


HEADLINE: Mapping[str, Callable[[Score], float | None]] = {
    "PQ": lambda score: score.PQ.all.PQ,
    "SQ": lambda score: score.PQ.all.SQ,
    "RQ": lambda score: score.PQ.all.RQ,
    "PQ things": lambda score: score.PQ.things.PQ,
    "PQ stuff": lambda score: score.PQ.stuff.PQ,
    "mIoU semantic": lambda score: score.mIoU.semantic,
    "mIoU panoptic": lambda score: score.mIoU.panoptic,
}


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
        self._ignored: Ignored | None = None
        self._images = self._with_semantic = 0
        self._boundary = BoundarySums() if "boundary" in metrics else None

    def add(self, part: Statistics) -> None:
        """Add the statistics of one or more images."""
        self._images += part.images
        self._with_semantic += part.with_semantic
        semantic.add_to_confusion(self._semantic, part.semantic[:, 1:])
        if part.tallies is not None and part.panoptic is not None and part.ignored is not None:
            self._ignored = pq.sum_ignored(self._ignored, part.ignored)
            semantic.add_to_confusion(self._panoptic, part.panoptic[:, 1:])
            for category_id, one in part.tallies.items():
                self._tallies[category_id] = self._tallies.get(category_id, PQStat()) + one
        if self._boundary is not None and part.boundary is not None:
            self._boundary += part.boundary

    def score(self) -> Score:
        """Return the score so far. Raise DataError if only some images have a semantic map."""
        # A mean over the images that happen to have a map would compare with no other run.
        if 0 < self._with_semantic < self._images:
            raise DataError(
                f"{self._images - self._with_semantic} of {self._images} images have no semantic map "
                "and the others do; score them apart or predict them again"
            )
        table = pq.pq_table(self._tallies, self._categories)
        output, mask = iou_table(self._semantic, self._rule), iou_table(self._panoptic, "cityscapes")
        ious = map(SemanticQuality, output.iou, mask.iou)
        return Score(
            PQ=table.groups,
            mIoU=SemanticQuality(output.miou, mask.miou),
            pixel_accuracy=SemanticQuality(output.pixel_accuracy, mask.pixel_accuracy),
            frequency_weighted_IoU=SemanticQuality(output.frequency_weighted, mask.frequency_weighted),
            per_class=tuple(
                ClassScore(category.id, category.name, category.isthing, **vars(row), IoU=iou)
                for category, row, iou in zip(self._categories, table.per_class, ious, strict=True)
            ),
            images=self._images,
            protocol=self._protocol,
            reference_deviations=DEVIATIONS[self._protocol],
            boundary=None if self._boundary is None else self._boundary.table(self._categories).to_json(),
            ignored=None if self._ignored is None else self._ignored.summary(),
        )


def score(lines: Iterable[Mapping[str, Any]], categories: Categories, rule: Rule, protocol: Protocol = "coco") -> Score:
    """Return the score of image lines in any order, in constant memory."""
    scorer = Scorer(categories, rule, protocol)
    for line in lines:
        scorer.add(statistics(Columns.of_line(line, categories), categories, protocol))
    return scorer.score()


def totals(
    columns: Columns, categories: Categories, rules: Mapping[str, Any], metrics: Collection[str] = ()
) -> dict[str, Any]:
    """Return the score of stored lines as JSON."""
    scorer = Scorer(categories, rules["semantic_rule"], rules["protocol"], metrics)
    scorer.add(statistics(columns, categories, rules["protocol"], metrics))
    return scorer.score().to_json()
