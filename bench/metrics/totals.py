"""All the numbers that a complete run stores: its score, and what it was asked for beside that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bench.metrics.boundary import BoundarySums
from bench.metrics.lines import Lines
from bench.metrics.score import Scorer
from bench.overlap import Overlap
from bench.types import Categories


class Totals:
    """The numbers of image lines that come one by one, in any order."""

    def __init__(self, categories: Categories, rules: Mapping[str, Any], metrics: Collection[str] = ()) -> None:
        self._scorer = Scorer(categories, rules["semantic_rule"], rules["protocol"])
        self._boundary = BoundarySums(categories, rules["protocol"]) if "boundary" in metrics else None

    def add(self, line: Mapping[str, Any], overlap: Overlap | None = None) -> None:
        """One line; its overlap where the caller has it."""
        self._scorer.add(line, overlap)
        if self._boundary is not None:
            self._boundary.add(line)

    def to_json(self) -> dict[str, Any]:
        """Fractions, null where undefined."""
        found = self._scorer.score().to_json()
        return found if self._boundary is None else {**found, "boundary": self._boundary.table().to_json()}


def totals(
    lines: Lines, categories: Categories, rules: Mapping[str, Any], metrics: Collection[str] = ()
) -> dict[str, Any]:
    """The numbers of stored lines."""
    found = Totals(categories, rules, metrics)
    for line in lines:
        found.add(line)
    return found.to_json()
