"""Totals, checksum and comparability key of a run, accumulated line by line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.metrics.columns import Columns
from bench.metrics.image_statistics import Statistics, statistics
from bench.metrics.score import Scorer
from bench.results.line_digests import Line, LineDigests, json_line
from bench.results.writer import RunWriter
from bench.types import Categories


@dataclass(frozen=True, eq=False)
class ScoredLine:
    """A stored image line and its statistics, small enough to be pickled between processes."""

    image_id: str
    truth: str
    text: str
    statistics: Statistics


@dataclass(eq=False)
class ScoredBatch:
    """Stored lines of some images, their seconds by stage, and their statistics added up: what a worker returns.

    `error` ended the batch before its last image.
    """

    scorer: Scorer
    lines: list[tuple[str, str, str]] = field(default_factory=list)  # image id, digest of the truth, text
    seconds: list[Mapping[str, float]] = field(default_factory=list)
    error: Exception | None = None

    def add(self, scored: ScoredLine, seconds: Mapping[str, float]) -> None:
        self.scorer.add(scored.statistics)
        self.lines.append((scored.image_id, scored.truth, scored.text))
        self.seconds.append(seconds)


class RunAccumulator:
    """Accumulates image lines in any order. Each line must be added exactly once."""

    def __init__(self, categories: Categories, rules: Mapping[str, Any], metrics: Collection[str] = ()) -> None:
        self._categories, self._rules, self._metrics = categories, rules, metrics
        self._scorer = self._new_scorer()
        self._digests = LineDigests()

    def score_line(self, line: Line) -> ScoredLine:
        """Return the statistics of an image line. Changes no state, so threads and forked processes may call it."""
        columns = Columns.of_line(line, self._categories)
        found = statistics(columns, self._categories, self._rules["protocol"], self._metrics)
        return ScoredLine(str(line["image_id"]), str(line.get("truth")), json_line(line), found)

    def _new_scorer(self) -> Scorer:
        return Scorer(self._categories, self._rules["semantic_rule"], self._rules["protocol"], self._metrics)

    def new_batch(self) -> ScoredBatch:
        return ScoredBatch(self._new_scorer())

    def add_batch(self, batch: ScoredBatch) -> None:
        self._scorer.merge(batch.scorer)
        for line in batch.lines:
            self._digests.add(*line)

    def add(self, scored: ScoredLine) -> None:
        self._scorer.add(scored.statistics)
        self._digests.add(scored.image_id, scored.truth, scored.text)

    def add_stored(self, line: Line) -> None:
        self.add(self.score_line(line))

    def complete(self, writer: RunWriter, order: list[str]) -> None:
        """Write done.json through `writer`; `order` is the image ids of the data set, in its order."""
        key = self._digests.comparability_key(order, self._rules)
        writer.finish(self._scorer.score().to_json(), key, self._digests.digest())
