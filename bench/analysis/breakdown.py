"""Breakdowns of a finished run, computed from its stored image lines without running a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from bench.analysis.comparison import CONFIDENCE, notes, run_sums
from bench.errors import error_context
from bench.metrics.bootstrap import MEANS, estimates, point_estimates, resample
from bench.metrics.boundary import boundary_table
from bench.metrics.confusion import confusion_table
from bench.metrics.errors import error_table
from bench.metrics.size import size_table
from bench.metrics.thresholds import threshold_table
from bench.results.run import Run


def errors(run: Run) -> dict[str, Any]:
    """Return 1 - PQ split by error type."""
    return error_table(run.lines(), run.categories, run.score.protocol).to_json()


def by_size(run: Run) -> dict[str, Any]:
    """Return PQ of small, medium and large segments."""
    return size_table(run.lines(), run.categories, run.score.protocol).to_json()


def thresholds(run: Run) -> dict[str, Any]:
    """Return PQ at IoU thresholds 0.5 to 0.95, and PQ†."""
    return threshold_table(run.lines(), run.categories, run.score.protocol).to_json()


def confusion(run: Run) -> dict[str, Any]:
    """Return the confusion of classes in pixels, with precision and recall."""
    return confusion_table(run.lines(), run.categories, run.semantic_rule).to_json()


def boundary(run: Run) -> dict[str, Any]:
    """Return boundary PQ. Needs a run made with `--metrics boundary`."""
    return boundary_table(run.lines(), run.categories, run.score.protocol).to_json()


def intervals(run: Run, replicates: int = 10_000, seed: int = 0) -> dict[str, Any]:
    """Return every mean and the PQ of each class with bootstrap intervals over images."""
    sums = run_sums(run)
    (draws,) = resample([sums], replicates=replicates, seed=seed)
    found = [asdict(estimate) for estimate in estimates(point_estimates(sums), draws, CONFIDENCE)]
    classes = zip(run.score.per_class, found[len(MEANS) :], strict=True)
    return {
        "images": len(sums.image_ids), "replicates": replicates, "seed": seed, "confidence": CONFIDENCE,
        "means": [{"name": name, **one} for name, one in zip(MEANS, found, strict=False)],
        "classes": [{"name": row.name, "support": row.TP + row.FN, **one} for row, one in classes],
        "notes": list(notes(len(sums.image_ids), len(set(sums.groups)), by_group=False)),
    }  # fmt: skip


BREAKDOWNS: Mapping[str, Callable[[Run], dict[str, Any]]] = {
    "errors": errors,
    "by_size": by_size,
    "thresholds": thresholds,
    "confusion": confusion,
    "boundary": boundary,
    "intervals": intervals,
}


def breakdown(run: Run, view: str) -> dict[str, Any]:
    """Return one of the breakdowns by name, as plain data. Raises PartialRun if the run is not complete."""
    _ = run.score
    with error_context(run.folder):
        return BREAKDOWNS[view](run)
