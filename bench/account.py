"""What the lines of a run come to while they are read or written: its totals, their checksum, the key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bench.ledger import Ledger, Line
from bench.metrics.totals import Totals
from bench.results import RunWriter
from bench.types import Categories


class Account:
    """Is told of every line of a run once, in any order, and can then complete it."""

    def __init__(self, categories: Categories, rules: Mapping[str, Any], metrics: Collection[str] = ()) -> None:
        self._rules = rules
        self._totals = Totals(categories, rules, metrics)
        self._ledger = Ledger()

    def add(self, line: Line, text: str | None = None) -> None:
        """A line, and its text where somebody has spelled it already."""
        self._totals.add(line)
        self._ledger.note(line, text)

    def complete(self, writer: RunWriter, order: list[str]) -> None:
        """Finishes the run; `order` is the image ids of the data set."""
        key = self._ledger.comparability(order, self._rules)
        writer.finish(self._totals.to_json(), key, self._ledger.digest())
