"""Differences of two runs in a breakdown: the loss of PQ by type of error, or PQ by segment size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from bench.analysis.comparison import Comparison, Difference, corrected, count_of_sure, decimals, differences
from bench.errors import error_context
from bench.metrics.bootstrap import Estimate, Statistic, resample
from bench.metrics.columns import Columns
from bench.metrics.errors import ERROR_TYPES, error_sums, error_table, losses
from bench.metrics.image_statistics import ImageSums
from bench.metrics.matching import Protocol
from bench.metrics.pq import GROUPS
from bench.metrics.size import BINS, size_quality, size_sums, size_table
from bench.results.run import Run
from bench.types import Categories

PairedView = Literal["errors", "by_size"]
NOUNS = {
    "misclassified": "misclassified segments", "split": "split segments", "merged": "merged segments",
    "poor mask": "poor masks", "left void": "segments left void", "missed": "missed segments",
    "spurious": "spurious segments", **{name: f"{name} segments" for name in BINS["coco"].names},
    **{name: f"segments of {name} of the image" for name in BINS["relative"].names},
}  # fmt: skip


class _View(NamedTuple):
    """Computation of a breakdown and the words for its differences.

    `points`, of the JSON of the table, and `statistic`, of the sums, have a value for each of `rows` times GROUPS.
    """

    rows: tuple[str, ...]
    table: Callable[[Columns, Categories, Protocol], Any]
    points: Callable[[Mapping[str, Any]], Iterator[float | None]]
    sums: Callable[[Columns, Categories, Protocol], ImageSums]
    statistic: Statistic
    kinds: str
    verb: str
    directions: tuple[str, str]  # of a difference below 0, and above


def _losses(table: Mapping[str, Any]) -> Iterator[float | None]:
    return (table[group]["loss"][kind] for kind in ERROR_TYPES for group in GROUPS)


def _qualities(table: Mapping[str, Any]) -> Iterator[float | None]:
    return (row["PQ"][group]["PQ"] for rows in table.values() for row in rows for group in GROUPS)


BIN_NAMES = tuple(name for bins in BINS.values() for name in bins.names)
VIEWS: Mapping[PairedView, _View] = {
    "errors": _View(
        ERROR_TYPES, error_table, _losses, error_sums, losses, "types of error", "loses", ("less to", "more to")
    ),
    "by_size": _View(
        BIN_NAMES, size_table, _qualities, size_sums, size_quality, "sizes", "is", ("worse on", "better on")
    ),
}


@dataclass(frozen=True)
class PairedBreakdown:
    """Differences of the rows of a breakdown, for each of GROUPS; p values are corrected for the rows of a group."""

    view: PairedView
    a: str
    b: str
    replicates: int
    groups: Mapping[str, tuple[Difference, ...]]

    @property
    def sentence(self) -> str:
        """The rows that differ over all classes after the correction."""
        words, sure = VIEWS[self.view], [row for row in self.groups["all"] if row.sure]
        count = count_of_sure(self.groups["all"], words.kinds, self.replicates)
        if not sure:
            return count
        (first, ends), *others = (_size(row.delta) for row in sure)
        sizes = [(f"{first} points", f"95 % interval {ends}"), *others]
        found = (
            f"{size} {words.directions[(row.delta.value or 0) > 0]} {NOUNS.get(row.name, row.name)} ({ends})"
            for row, (size, ends) in zip(sure, sizes, strict=True)
        )
        return f"{count}: {self.b} {words.verb} {', '.join(found)}"

    def records(self) -> list[dict[str, Any]]:
        """Return one flat record for each row of each group, for CSV; fractions."""
        return [
            {**row.record(f"{self.view} {group}"), "p_better": None}
            for group, rows in self.groups.items()
            for row in rows
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the sentence, and the rows of each group as fractions."""
        return {"verdict": self.sentence, **{group: list(map(_row, rows)) for group, rows in self.groups.items()}}


def _row(row: Difference) -> dict[str, Any]:
    # Without p_better: of losses, to be above is not to be better.
    return {"name": row.name, **{k: v for k, v in row.to_json().items() if k != "p_better"}, "p_holm": row.p_holm}


def _size(delta: Estimate) -> tuple[str, str]:
    """Format the size of a difference and of the ends of its interval, in points."""
    ends = sorted(100 * abs(end or 0) for end in (delta.low, delta.high))
    places = f".{decimals(delta.low, delta.high)}f"
    return f"{100 * abs(delta.value or 0):{places}}", f"{ends[0]:{places}} to {ends[1]:{places}}"


def compare_breakdown(found: Comparison, a: Run, b: Run, view: PairedView) -> PairedBreakdown:
    """Return the differences B - A of a breakdown, with the settings and draws of the comparison of the two runs."""
    asked, points, sums = VIEWS[view], [], []
    for run in (a, b):
        with error_context(run.folder):
            of = (run.stored.columns, run.categories, run.score.protocol)
            # The values that `bench show` prints; those of the sums differ in the last bits.
            points.append(np.array([*asked.points(asked.table(*of).to_json())], dtype=np.float64))
            sums.append(asked.sums(*of))
    draws = resample(sums, replicates=found.replicates, seed=found.seed, by_group=found.by_group, of=asked.statistic)
    rows = differences(points, draws)
    groups = {
        group: tuple(corrected(asked.rows, rows[k :: len(GROUPS)], found.replicates)) for k, group in enumerate(GROUPS)
    }
    return PairedBreakdown(view, found.a, found.b, found.replicates, groups)
