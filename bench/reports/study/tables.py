"""Tables and texts of a study."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.contrasts import Arm, Verdict
from bench.analysis.study import StudyOutcome
from bench.metrics.bootstrap import MEANS
from bench.metrics.score import HEADLINE, Score
from bench.reports.tables import UNDEFINED, Table, intervals, percent
from bench.results.run import Run

MEASURES = ("PQ", "SQ", "RQ", "mIoU semantic", "mIoU panoptic")


@dataclass(frozen=True)
class Transfer:
    """Means over the seeds of a training on one data set, as fractions; None if undefined for any seed."""

    training: str
    dataset: str
    space: str
    classes: int
    images: int
    values: Mapping[str, float | None]


def transfers(outcome: StudyOutcome) -> list[Transfer]:
    """Return the results on each data set of the trainings with additional data sets."""
    beyond = {run.training: run.dataset for run in outcome.study.runs}
    wanted = [run for run in outcome.study.all_runs() if run.training in beyond]
    found = [(run, [one.runs[run.dataset] for one in outcome.seeds_of(run.training, run.dataset)]) for run in wanted]
    scored = [(run, runs) for run, runs in found if runs]
    # The largest label space among the runs is the full one; the others are mapped to fewer classes.
    most = max((len(runs[0].categories) for _, runs in scored), default=0)
    return [
        Transfer(
            run.training, run.dataset, _space(runs[0], most), len(runs[0].categories), runs[0].score.images,
            {name: _mean(runs, HEADLINE[name]) for name in MEASURES},
        )
        for run, runs in sorted(scored, key=lambda one: -len(one[1][0].categories))
    ]  # fmt: skip


def _space(run: Run, most: int) -> str:
    return "full" if len(run.categories) == most else "reduced"


def _mean(runs: list[Run], of: Callable[[Score], float | None]) -> float | None:
    known = [value for run in runs if (value := of(run.score)) is not None]
    return sum(known) / len(known) if len(known) == len(runs) else None


SHOWN = ("PQ", "SQ", "RQ", "mIoU panoptic")


def arms_table(scored: Sequence[Arm], title: str) -> Table:
    """Return one row per arm: means over seeds with intervals over images, and the spread of PQ over seeds."""
    means = [intervals([arm.mean(name) for arm in scored]) for name in SHOWN]
    columns = [arm.name for arm in scored], [str(len(arm.seeds)) for arm in scored], *means
    rows = zip(*columns, (spread_text(arm.spread()) for arm in scored), strict=True)
    return Table(title, ("training", "seeds", *SHOWN, "spread of PQ"), tuple(rows))


def spread_text(spread: float | None) -> str:
    """Format a spread in percentage points; "unknown" if there is only one seed."""
    return "unknown" if spread is None else f"{100 * spread:.2f}"


def points(value: float | None) -> str:
    return UNDEFINED if value is None else f"{100 * value:+.2f}"


def contrasts_table(said: Sequence[Verdict]) -> Table:
    rows = tuple(
        (v.contrast, f"{v.arm} - {v.reference}", delta, spread_text(v.yardstick), v.verdict, v.why, v.seeds)
        for v, delta in zip(said, intervals([v.delta for v in said], "+"), strict=True)
    )
    columns = ("contrast", "arms", "difference in PQ", "what seeds do", "verdict", "because", "by")
    return Table("Contrasts", columns, rows)


def product_table(scored: Sequence[Arm]) -> Table:
    """Return PQ beside the product of mean SQ and mean RQ."""
    rows = []
    for arm in scored:
        pq, sq, rq = (arm.mean(name).value or 0.0 for name in ("PQ", "SQ", "RQ"))
        shown = [f"{100 * x:.2f}" for x in (sq, rq, arm.product, pq)]
        rows.append((arm.name, *shown, points(arm.product - pq)))
    return Table("Two numbers", ("training", "SQ", "RQ", "SQ × RQ", "PQ", "error"), tuple(rows))


def transfer_table(rows: Sequence[Transfer]) -> Table:
    cells = tuple(
        (
            f"{row.training} on {row.dataset}", str(row.classes), row.space,
            *(percent(row.values[name]) for name in row.values),
        )
        for row in rows
    )  # fmt: skip
    return Table("Transfer", ("", "classes", "space", *(rows[0].values if rows else ())), cells)


def seed_rows(scored: Sequence[Arm]) -> list[dict[str, Any]]:
    """Return one row per seed, as unrounded fractions."""
    rows = []
    for arm in scored:
        for k, (seed, run) in enumerate(zip(arm.seeds, arm.runs, strict=True)):
            values = {name: _defined(arm.values(name)[k]) for name in MEANS}
            rows.append({"training": arm.name, "seed": seed, **values, "run": str(run.folder)})
    return rows


def _defined(value: float) -> float | None:
    return value if math.isfinite(value) else None


PRODUCT_NOTE = (
    "PQ is the mean over classes of each class's SQ times RQ; the mean of products is not the product of the means, "
    "unless SQ and RQ are uncorrelated over the classes. The table shows both numbers for each training."
)


def about(outcome: StudyOutcome, scored: Sequence[Arm]) -> str:
    images = scored[0].runs[0].score.images if scored else 0
    return f"{outcome.study.dataset}, {images} images, percent, means of the seeds with 95 % intervals over images"


def quick_note(outcome: StudyOutcome) -> str:
    """Return the warning that a quick look allows no conclusions."""
    changes = outcome.study.quick.set if outcome.study.quick else {}
    told = ", ".join(f"{key} {value}" for key, value in changes.items())
    return (
        f"A quick look ({told}; at most {outcome.study.limit} images scored). It shows that everything runs, and "
        "allows no conclusion: no network here was trained long enough for its numbers to mean anything."
    )
