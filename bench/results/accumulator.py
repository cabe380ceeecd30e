"""What the lines of a run come to while they are read or written: its totals, their checksum, the key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bench.metrics.image_statistics import ImageStatistics, statistics_of_line
from bench.metrics.score import Totals
from bench.results.line_digests import Line, LineDigests, json_line
from bench.results.writer import RunWriter
from bench.types import Categories


@dataclass(frozen=True, eq=False)
class ScoredLine:
    """A line as it is stored, and what it comes to; light enough to be sent between processes.

    `line` is kept where more is asked of it than `counted` has.
    """

    image_id: str
    truth: str
    text: str
    counted: ImageStatistics
    line: Line | None


class RunAccumulator:
    """Is told of every line of a run once, in any order, and can then complete it."""

    def __init__(self, categories: Categories, rules: Mapping[str, Any], metrics: Collection[str] = ()) -> None:
        self._categories, self._rules, self._metrics = categories, rules, metrics
        self._totals = Totals(categories, rules, metrics)
        self._digests = LineDigests()

    def score_line(self, line: Line) -> ScoredLine:
        """What it wants to know of a line. Changes nothing, so that any thread and any forked process may ask."""
        counted = statistics_of_line(line, self._categories, self._rules["protocol"])
        return ScoredLine(
            str(line["image_id"]), str(line.get("truth")), json_line(line), counted, line if self._metrics else None
        )

    def add(self, entry: ScoredLine) -> None:
        """One line."""
        self._totals.add_counted(entry.counted)
        if entry.line is not None:
            self._totals.add_boundary(entry.line)
        self._digests.add(entry.image_id, entry.truth, entry.text)

    def add_stored(self, line: Line) -> None:
        """A line that was stored."""
        self.add(self.score_line(line))

    def complete(self, writer: RunWriter, order: list[str]) -> None:
        """Finishes the run; `order` is the image ids of the data set."""
        key = self._digests.comparability_key(order, self._rules)
        writer.finish(self._totals.to_json(), key, self._digests.digest())
