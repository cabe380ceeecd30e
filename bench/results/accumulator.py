"""Totals, checksum and comparability key of a run, accumulated line by line."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.metrics.columns import Columns
from bench.metrics.image_statistics import Statistics, statistics
from bench.metrics.score import Scorer
from bench.results.line_digests import Line, LineDigests, json_line
from bench.results.writer import RunWriter
from bench.types import Categories


@dataclass(frozen=True, eq=False)
class ScoredLines:
    """Stored lines of one or more images and their statistics, small enough to be pickled between processes."""

    image_ids: Sequence[str]
    truths: Sequence[str]  # digests
    texts: Sequence[str]
    statistics: Statistics


class RunAccumulator:
    """Accumulates image lines in any order. Each line must be added exactly once."""

    def __init__(self, categories: Categories, rules: Mapping[str, Any], metrics: Collection[str] = ()) -> None:
        self._categories, self._rules, self._metrics = categories, rules, metrics
        self._scorer = Scorer(categories, rules["semantic_rule"], rules["protocol"], metrics)
        self._digests = LineDigests()

    def score_lines(self, lines: Sequence[Line]) -> ScoredLines:
        """Return the statistics of image lines. Changes no state, so threads and forked processes may call it."""
        columns = Columns.of(lines, self._categories)
        found = statistics(columns, self._categories, self._rules["protocol"], self._metrics)
        ids, truths = ([str(line.get(key)) for line in lines] for key in ("image_id", "truth"))
        return ScoredLines(ids, truths, [json_line(line) for line in lines], found)

    def add(self, scored: ScoredLines) -> None:
        self._scorer.add(scored.statistics)
        for line in zip(scored.image_ids, scored.truths, scored.texts, strict=True):
            self._digests.add(*line)

    def add_stored(self, line: Line) -> None:
        self.add(self.score_lines([line]))

    def complete(self, writer: RunWriter, order: list[str]) -> None:
        """Write done.json through `writer`; `order` is the image ids of the data set, in its order."""
        key = self._digests.comparability_key(order, self._rules)
        writer.finish(self._scorer.score().to_json(), key, self._digests.digest())
