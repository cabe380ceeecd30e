"""Breakdowns of a finished run, computed from its stored image lines without running a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from bench.analysis import rules
from bench.analysis.comparison import CONFIDENCE, notes, run_sums
from bench.errors import error_context
from bench.metrics.bootstrap import MEANS, estimates, point_estimates, resample
from bench.metrics.boundary import boundary_table
from bench.metrics.columns import Columns
from bench.metrics.confusion import confusion_table
from bench.metrics.errors import error_table
from bench.metrics.matching import Protocol
from bench.metrics.size import size_table
from bench.metrics.thresholds import threshold_table
from bench.results.run import Run
from bench.types import Categories

TABLES: Mapping[str, Callable[[Columns, Categories, Protocol], Any]] = {
    "errors": error_table,
    "by_size": size_table,
    "thresholds": threshold_table,
    "boundary": boundary_table,
}


def breakdown(run: Run, view: str) -> dict[str, Any]:
    """Return a breakdown as plain data: one of `TABLES`, "confusion", "intervals" or "rules".

    "boundary" needs a run made with `--metrics boundary`. Raises PartialRun if the run is not complete.
    """
    protocol = run.score.protocol
    with error_context(run.folder):
        if view == "intervals":
            return intervals(run)
        if view == "rules":
            return rules.breakdown(run)
        if view == "confusion":
            return confusion_table(run.stored.columns, run.categories, run.semantic_rule).to_json()
        found: dict[str, Any] = TABLES[view](run.stored.columns, run.categories, protocol).to_json()
        return found


def intervals(run: Run, replicates: int = 10_000, seed: int = 0) -> dict[str, Any]:
    """Return every mean and the PQ of each class with bootstrap intervals over images."""
    sums = run_sums(run)
    (draws,) = resample([sums], replicates=replicates, seed=seed)
    found = [asdict(estimate) for estimate in estimates(point_estimates(sums), draws, CONFIDENCE)]
    # `estimates` returns the means in the order of MEANS, then the PQ of each category in the order of the run.
    classes = zip(run.score.per_class, found[len(MEANS) :], strict=True)
    return {
        "images": len(sums.image_ids), "replicates": replicates, "seed": seed, "confidence": CONFIDENCE,
        "means": [{"name": name, **one} for name, one in zip(MEANS, found, strict=False)],
        "classes": [{"name": row.name, "support": row.TP + row.FN, **one} for row, one in classes],
        "notes": list(notes(len(sums.image_ids), len(set(sums.groups)), by_group=False)),
    }  # fmt: skip
