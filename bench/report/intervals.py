"""Numbers with intervals as text: no more digits than the interval carries."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bench.comparison import Comparison, Difference
from bench.metrics.bootstrap import Estimate
from bench.report.tables import UNDEFINED, Table


def decimals(low: float | None, high: float | None) -> int:
    """Of a percentage: two digits of the interval's half width, at most two decimals; 1 without an interval."""
    if low is None or high is None:
        return 1
    half = 50 * (high - low)
    return 2 if half <= 0 else min(max(1 - math.floor(math.log10(half)), 0), 2)


def interval(estimate: Estimate, sign: str = "") -> str:
    """0.3605 in 0.3511..0.3697 → "36.05 (35.11 to 36.97)"; `sign` "+" shows it of a difference."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None:
        return UNDEFINED
    spec = f"{sign}.{decimals(low, high)}f"
    if low is None or high is None:
        return format(100 * value, spec)
    return f"{100 * value:{spec}} ({100 * low:{spec}} to {100 * high:{spec}})"


def chance(share: float | None, replicates: int) -> str:
    """The share of replicates, never "0" or "1": so many cannot tell it from a little less than one in them all."""
    if share is None:
        return UNDEFINED
    digits = max(1, math.ceil(math.log10(replicates)) - 1)
    least = 10.0**-digits
    if share < least:
        return f"< {least:.{digits}f}"
    if share > 1 - least:
        return f"> {1 - least:.{digits}f}"
    return f"{share:.{digits if min(share, 1 - share) < 0.01 else min(digits, 2)}f}"


def comparison_tables(found: Comparison) -> list[Table]:
    """The means, then the classes, of a comparison."""
    over = f"{found.groups} groups" if found.by_group else f"{found.images} images"
    title = (
        f"A = {found.a}, B = {found.b} on {found.dataset}: percent, {100 * found.confidence:g} % intervals over {over}"
    )
    head = ("A", "B", "B − A", "P(B > A)")
    means = tuple((row.name, *_cells(row, found.replicates)) for row in found.means)
    classes = tuple((row.name, str(row.support), *_cells(row, found.replicates)) for row in found.classes)
    return [Table(title, ("", *head), means), Table("PQ of each class", ("class", "truth", *head), classes)]


def _cells(row: Difference, replicates: int) -> tuple[str, ...]:
    return (interval(row.a), interval(row.b), interval(row.delta, "+"), chance(row.p_better, replicates))


def interval_tables(found: Mapping[str, Any]) -> list[Table]:
    """The numbers of one run with their intervals."""
    means = tuple((row["name"], interval(_estimate(row))) for row in found["means"])
    classes = tuple((row["name"], str(row["support"]), interval(_estimate(row))) for row in found["classes"])
    return [
        Table(f"Percent with 95 % intervals over {found['images']} images", ("", "value"), means),
        Table("PQ of each class", ("class", "truth", "PQ"), classes),
    ]


def _estimate(row: Mapping[str, Any]) -> Estimate:
    return Estimate(row["value"], row["low"], row["high"])
