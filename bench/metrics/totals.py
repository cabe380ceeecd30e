"""All the numbers that a complete run stores: its score, and what it was asked for beside that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from bench.metrics.boundary import BoundarySums
from bench.metrics.counted import Counted, count
from bench.metrics.lines import Lines
from bench.metrics.score import Scorer
from bench.types import Categories


class Totals:
    """The numbers of image lines that come one by one, in any order."""

    def __init__(self, categories: Categories, rules: Mapping[str, Any], metrics: Collection[str] = ()) -> None:
        self._scorer = Scorer(categories, rules["semantic_rule"], rules["protocol"])
        self._boundary = BoundarySums(categories, rules["protocol"]) if "boundary" in metrics else None

    def add_counted(self, image: Counted) -> None:
        """What was counted of a line, by the protocol of these rules."""
        self._scorer.add(image)

    def add_boundary(self, line: Mapping[str, Any]) -> None:
        """The rest of a line, where boundaries were asked for."""
        if self._boundary is not None:
            self._boundary.add(line)

    def to_json(self) -> dict[str, Any]:
        """Fractions, null where undefined."""
        found = self._scorer.score().to_json()
        return found if self._boundary is None else {**found, "boundary": self._boundary.table().to_json()}


def totals(
    lines: Callable[[], Lines],
    categories: Categories,
    rules: Mapping[str, Any],
    metrics: Collection[str] = (),
    counted: Iterable[Counted] | None = None,
) -> dict[str, Any]:
    """The numbers of stored lines, which `lines` reads, anew at each call; `counted` are the same lines, for who has
    counted them before by the protocol of these rules."""
    found = Totals(categories, rules, metrics)
    for image in count(lines(), categories, rules["protocol"]) if counted is None else counted:
        found.add_counted(image)
    for line in lines() if metrics else ():
        found.add_boundary(line)
    return found.to_json()
