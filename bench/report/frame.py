"""A score as a pandas frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

KINDS = ("semantic", "panoptic")


def class_frame(score: Mapping[str, Any]) -> pd.DataFrame:
    """A row a class in the order of the space: category_id, name, isthing, PQ, SQ, RQ, TP, FP, FN,
    IoU_semantic, IoU_panoptic. Fractions, NaN where undefined."""
    rows = [
        {
            **{name: row[name] for name in ("category_id", "name", "isthing")},
            **{name: _number(row[name]) for name in ("PQ", "SQ", "RQ")},
            **{name: row[name] for name in ("TP", "FP", "FN")},
            **{f"IoU_{kind}": _number(row["IoU"][kind]) for kind in KINDS},
        }
        for row in score["per_class"]
    ]
    return pd.DataFrame(rows)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
