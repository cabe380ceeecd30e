"""Pixel confusion matrix, with the precision and recall of each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.metrics import semantic
from bench.metrics.columns import Columns
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


def confusion_table(columns: Columns, categories: Categories, rule: Rule) -> ConfusionTable:
    """Compute the table; `rule` is for the semantic output, as in the score."""
    cells = {}
    if columns.has_semantic.any():
        cells["semantic"] = columns.semantic
    if columns.has_overlap.any():
        cells["panoptic"] = columns.panoptic_cells(categories)
    matrices = {kind: semantic.empty_confusion(categories) for kind in cells}
    for kind, found in cells.items():
        semantic.add_to_confusion(matrices[kind], found[:, 1:])
    return ConfusionTable(categories, matrices, {"semantic": rule, "panoptic": "cityscapes"})
