"""Tables of paired comparisons, of wins, and of intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis.comparison import Comparison, Difference
from bench.analysis.wins import Wins
from bench.metrics.bootstrap import Estimate
from bench.reports.tables import UNDEFINED, Table, ends, places, value


def difference_tables(found: Comparison | Wins, classes: int | None = None) -> list[Table]:
    return comparison_tables(found, classes) if isinstance(found, Comparison) else [wins_table(found)]


def comparison_tables(found: Comparison, classes: int | None = None) -> list[Table]:
    """Return the means, and the PQ of so many classes with the largest differences, or of all."""
    over = f"{found.groups} groups" if found.by_group else f"{found.images} images"
    confidence = f"{100 * found.confidence:g} %"
    title = f"A = {found.a}, B = {found.b} on {found.dataset}: percent, {confidence} intervals over {over}"
    head = ("A", "B", "B − A", f"{confidence} of B − A", "P(B > A)", f"{confidence} of A", f"{confidence} of B")
    means = comparison_rows(found.means, found.replicates)
    shown = found.classes[:classes]
    named = sum(row.p_holm is not None for row in found.classes)
    whole = len(shown) == len(found.classes)
    which = "each class" if whole else f"{len(shown)} of {len(found.classes)} classes (--per-class: all)"
    of_classes = Table(
        f"PQ of {which}, largest difference first (truth: segments; p: two-sided, "
        f"Holm's correction for {named} classes)",
        ("class", *head[:4], "p (Holm)", "truth", *head[5:]),
        tuple(
            (*cells[:5], corrected_p(row.p_holm, found.replicates), str(row.support), *cells[6:])
            for cells, row in zip(comparison_rows(shown, found.replicates), shown, strict=True)
        ),
        highest=("A", "B"),
        by_row=True,
    )
    return [Table(title, ("", *head), means, highest=("A", "B"), by_row=True), *([of_classes] if shown else [])]


def wins_table(found: Wins) -> Table:
    """Return PQ of each run (row) minus that of each other (column); an asterisk marks differences after correction."""
    over = f"{found.groups} groups" if found.by_group else f"{found.images} images"
    title = (
        f"PQ of the row minus PQ of the column on {found.dataset}, points, with 95 % intervals over {over}; "
        f"* differs after Holm's correction for {len(found.duels)} pairs"
    )
    shared = places(duel.delta for duel in found.duels)
    rows = []
    for row, name in enumerate(found.names):
        cells = [_win(found, row, column, shared) if column != row else "" for column in range(len(found.names))]
        rows.append((name, value(found.PQ[row], shared), *cells, str(len(found.beaten(row)))))
    columns = ("run", "PQ", *(f"− {name}" for name in found.names), "better than")
    return Table(title, columns, tuple(rows), highest=("PQ", "better than"))


def _win(found: Wins, row: int, column: int, places: int) -> str:
    delta = found.between(row, column)
    mark = "*" if found.sure(row, column) else ""
    return f"{value(delta, places, '+')}{mark} ({ends(delta, places, '+')})"


def corrected_p(p: float | None, replicates: int) -> str:
    """Format a p value; below what so many replicates can show, it becomes a bound."""
    if p is None:
        return UNDEFINED
    return f"< {max(0.001, 10 / replicates):g}" if p < max(0.001, 10 / replicates) else f"{p:.3f}"


def comparison_rows(rows: Sequence[Difference], replicates: int) -> tuple[tuple[str, ...], ...]:
    """Return name, A, B, B − A, its interval, P(B > A), and the intervals of A and B."""
    of_delta, of_values = places(row.delta for row in rows), places(e for row in rows for e in (row.a, row.b))
    return tuple(
        (
            row.name,
            value(row.a, of_values),
            value(row.b, of_values),
            value(row.delta, of_delta, "+"),
            ends(row.delta, of_delta, "+"),
            chance(row.p_better, replicates),
            ends(row.a, of_values),
            ends(row.b, of_values),
        )
        for row in rows
    )


def chance(share: float | None, replicates: int) -> str:
    """Format a share of replicates; shares near 0 or 1 become bounds such as "< 0.001"."""
    # With n replicates a share of 0 means less than about 1/n, not impossible.
    if share is None:
        return UNDEFINED
    digits = max(1, math.ceil(math.log10(replicates)) - 1)
    least = 10.0**-digits
    if share < least:
        return f"< {least:.{digits}f}"
    if share > 1 - least:
        return f"> {1 - least:.{digits}f}"
    return f"{share:.{digits if min(share, 1 - share) < 0.01 else min(digits, 2)}f}"


def interval_tables(found: Mapping[str, Any]) -> list[Table]:
    means = [_estimate(row) for row in found["means"]]
    classes = [_estimate(row) for row in found["classes"]]
    names = [row["name"] for row in found["means"]]
    listed = [(row["name"], str(row["support"])) for row in found["classes"]]
    one, other = places(means), places(classes)
    return [
        Table(
            f"Percent with 95 % intervals over {found['images']} images",
            ("", "value", "95 %"),
            tuple((name, value(e, one), ends(e, one)) for name, e in zip(names, means, strict=True)),
        ),
        Table(
            "PQ of each class (truth: segments)",
            ("class", "truth", "PQ", "95 %"),
            tuple((*row, value(e, other), ends(e, other)) for row, e in zip(listed, classes, strict=True)),
        ),
    ]


def _estimate(row: Mapping[str, Any]) -> Estimate:
    return Estimate(row["value"], row["low"], row["high"])
