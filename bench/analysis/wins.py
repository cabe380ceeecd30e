"""Paired differences in PQ among several runs: a matrix of wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from bench.analysis.comparison import (
    CONFIDENCE,
    holm,
    notes,
    p_value,
    require_comparable,
    require_groups,
    run_sums,
    verdict,
)
from bench.metrics.bootstrap import (
    MEANS,
    PQ_PARTS,
    Estimate,
    estimates,
    mean_pq,
    point_estimates,
    probability_greater,
    resample,
)
from bench.results.run import Run


@dataclass(frozen=True)
class Duel:
    """PQ of run `b` minus that of run `a`, as places in the matrix.

    `p_holm` is the two-sided p value after Holm's correction for the number of pairs; `sure` whether it is below 0.05.
    """

    a: int
    b: int
    delta: Estimate
    p_holm: float | None
    verdict: str

    @property
    def sure(self) -> bool:
        return self.p_holm is not None and self.p_holm < 1 - CONFIDENCE


@dataclass(frozen=True)
class Wins:
    """All pairs of runs on one ground truth, best PQ first. `names` and `PQ` are in that order."""

    dataset: str
    images: int
    groups: int
    by_group: bool
    replicates: int
    seed: int
    names: tuple[str, ...]
    PQ: tuple[Estimate, ...]
    duels: tuple[Duel, ...]
    notes: tuple[str, ...]

    def between(self, row: int, column: int) -> Estimate:
        """Return PQ of run `row` minus that of run `column`."""
        duel = next(one for one in self.duels if {one.a, one.b} == {row, column})
        e = duel.delta
        return e if duel.b == row else Estimate(*(None if x is None else -x for x in (e.value, e.high, e.low)))

    def sure(self, row: int, column: int) -> bool:
        return next(one.sure for one in self.duels if {one.a, one.b} == {row, column})

    def beaten(self, row: int) -> list[str]:
        """Return the names of the runs that a run is better than after the correction."""
        others = (k for k in range(len(self.names)) if k != row)
        return [self.names[k] for k in others if self.sure(row, k) and (self.between(row, k).value or 0) > 0]

    def beaters(self, name: str) -> list[str]:
        """Return the names of the runs that are better than a run after the correction."""
        return [other for k, other in enumerate(self.names) if name in self.beaten(k)]

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(one.verdict for one in self.duels)

    def records(self) -> list[dict[str, Any]]:
        """Return one flat record for each pair; fractions."""
        return [
            {"a": self.names[one.a], "b": self.names[one.b], "difference": one.delta.value, "low": one.delta.low,
             "high": one.delta.high, "p_holm": one.p_holm, "verdict": one.verdict}
            for one in self.duels
        ]  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the settings, the runs with those that they beat, and every pair as fractions with its verdict."""
        runs = [
            {"name": name, **asdict(pq), "better_than": self.beaten(k)}
            for k, (name, pq) in enumerate(zip(self.names, self.PQ, strict=True))
        ]
        about = {
            name: getattr(self, name) for name in ("dataset", "images", "groups", "by_group", "replicates", "seed")
        }
        return {**about, "runs": runs, "pairs": self.records(), "notes": list(self.notes)}


def wins(
    runs: Sequence[Run], names: Sequence[str], *, replicates: int = 10_000, seed: int = 0, by_group: bool = False
) -> Wins:
    """Return the matrix of wins of runs with unique `names`. All runs share the drawn images or groups.

    Raises NotComparable as `compare`, and UsageError if there are too few groups.
    """
    require_comparable(*runs)
    sums = [run_sums(run) for run in runs]
    groups = len(set(sums[0].groups))
    require_groups(runs[0], groups, by_group)
    draws_of = resample(sums, replicates=replicates, seed=seed, by_group=by_group, of=mean_pq, needs=PQ_PARTS)
    drawn = [one[0] for one in draws_of]
    points = [float(point_estimates(one)[MEANS.index("PQ")]) for one in sums]
    order = sorted(range(len(runs)), key=lambda k: (-points[k] if np.isfinite(points[k]) else 1.0, names[k]))
    pairs = list(combinations(range(len(runs)), 2))
    better = np.array([points[order[a]] - points[order[b]] for a, b in pairs])
    draws = np.stack([drawn[order[a]] - drawn[order[b]] for a, b in pairs])
    deltas = estimates(better, draws, CONFIDENCE)
    corrected = holm([p_value(share, replicates) for share in probability_greater(draws)])
    titles = [names[k] for k in order]
    return Wins(
        runs[0].dataset, len(sums[0].image_ids), groups, by_group, replicates, seed, tuple(titles),
        tuple(estimates(np.array([points[k] for k in order]), np.stack([drawn[k] for k in order]), CONFIDENCE)),
        tuple(
            Duel(b, a, delta, p, verdict(titles[b], titles[a], delta))
            for (a, b), delta, p in zip(pairs, deltas, corrected, strict=True)
        ),
        notes(len(sums[0].image_ids), groups, by_group),
    )  # fmt: skip
