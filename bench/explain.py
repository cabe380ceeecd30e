"""Views of a finished run that its stored lines answer; no model is run again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from bench.metrics.confusion import confusion_table
from bench.metrics.errors import error_table
from bench.metrics.size import size_table
from bench.metrics.thresholds import threshold_table
from bench.results import Run

View = Literal["errors", "by_size", "thresholds", "confusion"]
VIEWS: Mapping[View, Any] = {
    "errors": error_table,
    "by_size": size_table,
    "thresholds": threshold_table,
}


def explain(run: Run, view: View) -> dict[str, Any]:
    """The view as plain data; a run that is not complete is a PartialRun."""
    protocol = run.score["protocol"]
    if view == "confusion":
        return confusion_table(run.lines(), run.categories, run.meta["rules"]["semantic_rule"]).to_json()
    view_: dict[str, Any] = VIEWS[view](run.lines(), run.categories, protocol).to_json()
    return view_
