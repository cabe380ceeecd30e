"""Pixel confusion matrix, with the precision and recall of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.metrics import semantic
from bench.metrics.image_statistics import Lines, overlap_of
from bench.metrics.semantic import Matrix, Rule
from bench.types import Categories

VOID = "void"


@dataclass(frozen=True, eq=False)
class ConfusionTable:
    """Confusion matrices by kind of semantic map: (C + 1, C + 1) pixels, truth in rows, void last.

    Void of the truth is ignored. By rule `detectron2`, void of the prediction is ignored too.
    """

    categories: Categories
    matrices: Mapping[str, Matrix]
    rules: Mapping[str, Rule]

    def to_json(self) -> dict[str, Any]:
        """Return, for each kind, the matrix and the pixels, precision and recall of each class, null if undefined."""
        return {
            kind: {
                "classes": [*(c.name for c in self.categories), VOID],
                "pixels": matrix.tolist(),
                "per_class": [self._row(matrix, k, self.rules[kind]) for k in range(len(self.categories))],
            }
            for kind, matrix in self.matrices.items()
        }

    def _row(self, matrix: Matrix, k: int, rule: Rule) -> dict[str, Any]:
        names = [*(c.name for c in self.categories), VOID]
        # The same pixels as in the IoU of the rule (`semantic.iou_table`).
        counted = matrix[:-1] if rule == "cityscapes" else matrix[:-1, :-1]
        truth, predicted, hits = int(counted[k].sum()), int(counted[:, k].sum()), int(counted[k, k])
        confused_with = {names[i]: pixels for i, pixels in enumerate(counted[k].tolist()) if pixels and i != k}
        return {
            "name": names[k], "truth_px": truth, "predicted_px": predicted,
            "precision": hits / predicted if predicted else None,
            "recall": hits / truth if truth else None,
            "confused_with": dict(sorted(confused_with.items(), key=lambda item: (-item[1], item[0]))),
        }  # fmt: skip


def confusion_table(lines: Lines, categories: Categories, rule: Rule) -> ConfusionTable:
    """Compute the table from image lines in any order; `rule` is for the semantic output, as in the score."""
    sums = {"semantic": semantic.empty_confusion(categories), "panoptic": semantic.empty_confusion(categories)}
    seen = set()
    for line in lines:
        if line.get("semantic") is not None:
            seen.add("semantic")
            semantic.add_to_confusion(sums["semantic"], semantic.validated_rows(line["semantic"], len(categories)))
        if line.get("overlap") is not None:
            seen.add("panoptic")
            semantic.add_to_confusion(sums["panoptic"], semantic.confusion_entries(overlap_of(line), categories))
    matrices = {kind: matrix for kind, matrix in sums.items() if kind in seen}
    return ConfusionTable(categories, matrices, {"semantic": rule, "panoptic": "cityscapes"})
