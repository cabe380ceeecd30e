"""A study as tables of text, and as rows with all digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.metrics.bootstrap import MEANS
from bench.report.intervals import interval
from bench.report.study.transfer import Transfer
from bench.report.tables import UNDEFINED, Table, percent
from bench.study.contrasts import Arm, Verdict

SHOWN = ("PQ", "SQ", "RQ", "mIoU panoptic")


def arms_table(scored: Sequence[Arm], title: str) -> Table:
    """A row an arm: means over its seeds with intervals over images, and the spread of PQ over the seeds."""
    rows = tuple(
        (arm.name, str(len(arm.seeds)), *(interval(arm.mean(name)) for name in SHOWN), spread_text(arm.spread()))
        for arm in scored
    )
    return Table(title, ("training", "seeds", *SHOWN, "spread of PQ"), rows)


def spread_text(spread: float | None) -> str:
    """In points; of one seed it is unknown."""
    return "unknown" if spread is None else f"{100 * spread:.2f}"


def points(value: float | None) -> str:
    """A difference in points of percent, with its sign."""
    return UNDEFINED if value is None else f"{100 * value:+.2f}"


def contrasts_table(said: Sequence[Verdict]) -> Table:
    """A row a comparison."""
    rows = tuple(
        (
            v.contrast, f"{v.arm} - {v.reference}", interval(v.delta, "+"), spread_text(v.yardstick), v.verdict, v.why,
            v.seeds,
        )
        for v in said
    )  # fmt: skip
    columns = ("contrast", "arms", "difference in PQ", "what seeds do", "verdict", "because", "by")
    return Table("Contrasts", columns, rows)


def trap_table(scored: Sequence[Arm]) -> Table:
    """PQ beside mean SQ times mean RQ."""
    rows = []
    for arm in scored:
        pq, sq, rq = (arm.mean(name).value or 0.0 for name in ("PQ", "SQ", "RQ"))
        shown = [f"{100 * x:.2f}" for x in (sq, rq, arm.product, pq)]
        rows.append((arm.name, *shown, points(arm.product - pq)))
    return Table("Two numbers", ("training", "SQ", "RQ", "SQ × RQ", "PQ", "error"), tuple(rows))


def transfer_table(rows: Sequence[Transfer]) -> Table:
    """A row a data set that a training was scored on."""
    cells = tuple(
        (
            f"{row.training} on {row.dataset}", str(row.classes), row.space,
            *(percent(row.values[name]) for name in row.values),
        )
        for row in rows
    )  # fmt: skip
    return Table("Transfer", ("", "classes", "space", *(rows[0].values if rows else ())), cells)


def seed_rows(scored: Sequence[Arm]) -> list[dict[str, Any]]:
    """A row a seed: fractions with all digits."""
    rows = []
    for arm in scored:
        for k, (seed, run) in enumerate(zip(arm.seeds, arm.runs, strict=True)):
            values = {name: _defined(arm.values(name)[k]) for name in MEANS}
            rows.append({"training": arm.name, "seed": seed, **values, "run": str(run.folder)})
    return rows


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None
