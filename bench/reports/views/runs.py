"""Runs of a page with their labels, colours and headline metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis import breakdown
from bench.analysis.choice import choose_among
from bench.analysis.comparison import Comparison, compare
from bench.analysis.ranking import row_of
from bench.analysis.wins import Wins, wins
from bench.errors import NotComparable
from bench.metrics.errors import ERROR_TYPES
from bench.metrics.score import HEADLINE, Score
from bench.results.run import Run, labels
from bench.results.timing import Timing, read_timing

Interval = tuple[float, float]


@dataclass(frozen=True)
class RunView:
    """A run of a page. `views` holds its available results of `bench.analysis.breakdown`."""

    run: Run
    color_index: int
    label: str
    row: Mapping[str, Any]
    views: Mapping[str, Mapping[str, Any]]
    timing: Timing | None

    @property
    def score(self) -> Score:
        return self.run.score

    def headline(self) -> dict[str, tuple[float | None, Interval | None]]:
        return {name: (of(self.score), self.interval("means", name)) for name, of in HEADLINE.items()}

    def interval(self, kind: str, name: str) -> Interval | None:
        """Return the interval of a mean or of a class's PQ, or None if not available."""
        rows = self.views["intervals"][kind] if "intervals" in self.views else []
        row = next((row for row in rows if row["name"] == name), None)
        return None if row is None or row["low"] is None else (row["low"], row["high"])

    def losses(self, group: str) -> list[tuple[str, float]]:
        """Return the parts of 1 - PQ by error type for all, things or stuff; empty if undefined."""
        loss = self.views["errors"][group]["loss"] if "errors" in self.views else {}
        return [(kind, loss[kind]) for kind in ERROR_TYPES if loss.get(kind) is not None]


def run_views(runs: Sequence[Run]) -> list[RunView]:
    """Return the runs in the given order with unique labels."""
    return [
        RunView(run, k, label, row_of(run), _views(run), read_timing(run.folder))
        for k, (run, label) in enumerate(zip(runs, labels(runs), strict=True))
    ]


def _views(run: Run) -> dict[str, Mapping[str, Any]]:
    """Return the breakdowns for the page, empty without image lines. Without segments: confusion and intervals only."""
    # A run that was copied without its image lines still has its totals.
    if not run.stored.columns.image_ids:
        return {}
    segments = ("errors", "by_size") if run.score.PQ.all.n else ()
    return {view: breakdown.breakdown(run, view) for view in (*segments, "confusion", "intervals")}


def advice(views: Sequence[RunView], paired: Comparison | Wins | None) -> tuple[str, ...]:
    """Return which run to take, as sentences; of several runs with a PQ, else none."""
    if paired is None:
        return ()
    try:
        return choose_among([view.run for view in views], matrix=paired if isinstance(paired, Wins) else None).sentences
    except NotComparable as error:
        return (f"No run is recommended: {error}.",)


def differences(views: Sequence[RunView]) -> Comparison | Wins | None:
    """Return the paired comparison of two runs, the matrix of wins of more; None for one run, or without segments."""
    runs = [view.run for view in views]
    if len(runs) < 2 or not all("errors" in view.views for view in views):
        return None
    return compare(*runs) if len(runs) == 2 else wins(runs, [view.label for view in views])
