"""All the numbers that a complete run stores: its score, and what it was asked for beside that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from bench.metrics.boundary import boundary_table
from bench.metrics.counted import Counted, count
from bench.metrics.lines import Lines
from bench.metrics.score import score_counted
from bench.types import Categories


def totals(
    lines: Callable[[], Lines],
    categories: Categories,
    rules: Mapping[str, Any],
    metrics: Collection[str] = (),
    counted: Iterable[Counted] | None = None,
) -> dict[str, Any]:
    """Fractions, null where undefined; `lines` reads the image lines, anew at each call.

    `counted` are the same lines, for who has counted them before by the protocol of these rules.
    """
    images = count(lines(), categories, rules["protocol"]) if counted is None else counted
    found = score_counted(images, categories, rules["semantic_rule"], rules["protocol"]).to_json()
    if "boundary" in metrics:
        found["boundary"] = boundary_table(lines(), categories, rules["protocol"]).to_json()
    return found
