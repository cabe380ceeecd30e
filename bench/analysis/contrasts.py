"""Contrasts of a study: PQ differences between arms, judged against image sampling and against seed variation.

An arm is the mean of its seeds. Its interval, and that of a difference, are over images: every replicate draws the same
images for all seeds of all arms. Seed variation is estimated separately. It is the larger spread (largest minus
smallest PQ of the seeds) of the two arms or, because two seeds estimate one arm's spread poorly, the half width of the
95 % interval of a difference by Student's t with the median variance of all arms, whichever is larger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.comparison import CONFIDENCE, require_comparable, run_sums
from bench.analysis.study import StudyOutcome
from bench.errors import UsageError
from bench.metrics.bootstrap import MEANS, Draws, Estimate, estimates, point_estimates, resample
from bench.results.run import Run

NO_DIFFERENCE = "no difference seen"
UNDECIDED = "undecided"
BETTER = "better"
WORSE = "worse"
NO_CONCLUSION = "none (quick look)"
# Quantiles of Student's t for a two-sided 95 % interval, by degrees of freedom; with more than ten the last one is
# used, which is the wider side.
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


@dataclass(frozen=True, eq=False)
class Arm:
    """A training of the study, scored on the study's data set with every seed.

    `by_seed` holds each of `MEANS` for every seed, `means` their mean over the seeds with its interval over images.
    Fractions; NaN or None if undefined.
    """

    name: str
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    by_seed: NDArray[np.floating]  # (len(MEANS), seeds)
    means: tuple[Estimate, ...]
    draws: Draws  # (len(MEANS), replicates), the mean of the seeds'

    def mean(self, measure: str) -> Estimate:
        return self.means[MEANS.index(measure)]

    def values(self, measure: str) -> list[float]:
        return [float(value) for value in self.by_seed[MEANS.index(measure)]]

    def spread(self, measure: str = "PQ") -> float | None:
        """Return the largest minus the smallest value over the seeds, or None if there is only one seed."""
        values = self.values(measure)
        return max(values) - min(values) if len(values) > 1 else None

    @property
    def product(self) -> float:
        """Mean SQ times mean RQ, averaged over seeds first. Differs from PQ."""
        return (self.mean("SQ").value or 0.0) * (self.mean("RQ").value or 0.0)


@dataclass(frozen=True)
class Verdict:
    """PQ of `arm` minus PQ of `reference`, with its interval over images and the noise threshold of the seeds.

    `yardstick` is that threshold: how far seeds alone may move such a difference, None if unknown. `seeds` names the
    source of the estimate.
    """

    contrast: str
    reference: str
    arm: str
    delta: Estimate
    yardstick: float | None
    seeds: str
    verdict: str
    why: str

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "delta": self.delta.value, "interval": [self.delta.low, self.delta.high]}


def arms(outcome: StudyOutcome, replicates: int = 10_000) -> list[Arm]:
    """Return the scored arms in the study's order. All of their runs are resampled together."""
    named = [(t.name, outcome.seeds_of(t.name)) for t in outcome.scored()]
    runs = [one.runs[outcome.study.dataset] for _, seeds in named for one in seeds]
    if runs:
        require_comparable(*runs)
    sums = [run_sums(run) for run in runs]
    # In one call, so that all arms share the drawn images and their differences are paired.
    draws = resample(sums, replicates=replicates) if sums else []
    found, start = [], 0
    for name, seeds in named:
        part = slice(start, start + len(seeds))
        start = part.stop
        points = np.stack([point_estimates(one)[: len(MEANS)] for one in sums[part]], axis=1)
        mean = np.mean([one[: len(MEANS)] for one in draws[part]], axis=0)
        means = tuple(estimates(points.mean(axis=1), mean, CONFIDENCE))
        found.append(Arm(name, tuple(one.seed for one in seeds), tuple(runs[part]), points, means, mean))
    return found


def verdicts(outcome: StudyOutcome, scored: Sequence[Arm]) -> list[Verdict]:
    """Compare each arm of every contrast with the first one. Arms without scored runs are left out."""
    known = {arm.name: arm for arm in scored}
    return [
        verdict(contrast.name, known[contrast.arms[0]], known[name], scored, outcome.quick)
        for contrast in outcome.study.contrasts
        for name in contrast.arms[1:]
        if contrast.arms[0] in known and name in known
    ]


def verdict(contrast: str, reference: Arm, arm: Arm, others: Sequence[Arm], quick: bool = False) -> Verdict:
    """Compare an arm with the reference.

    The verdict is "undecided" if no arm of the study has two seeds. `others` are all arms of the study. Raises
    UsageError if PQ is undefined.
    """
    pq = MEANS.index("PQ")
    values = np.array([np.mean(arm.values("PQ")) - np.mean(reference.values("PQ"))])
    delta = estimates(values, arm.draws[pq : pq + 1] - reference.draws[pq : pq + 1], CONFIDENCE)[0]
    if delta.value is None or delta.low is None or delta.high is None:
        raise UsageError(
            f"contrast {contrast!r}: {reference.runs[0].dataset} has no PQ to compare; choose a data set with instances"
        )
    yardstick, seeds = _noise_threshold([reference, arm], others)
    said, why = _verdict(delta.value, (delta.low, delta.high), yardstick)
    if quick:
        said = NO_CONCLUSION
    return Verdict(contrast, reference.name, arm.name, delta, yardstick, seeds, said, why)


def _verdict(delta: float, interval: tuple[float, float], yardstick: float | None) -> tuple[str, str]:
    # The order matters: an interval over images that covers zero needs no estimate of the seeds.
    if interval[0] <= 0 <= interval[1]:
        return NO_DIFFERENCE, "the interval over images covers zero"
    if yardstick is None:
        return UNDECIDED, "the effect of a seed is unknown"
    if abs(delta) <= yardstick:
        return NO_DIFFERENCE, "seeds alone cause as large a difference"
    return (BETTER if delta > 0 else WORSE), "larger than the interval over images and the effect of seeds"


def _noise_threshold(pair: Sequence[Arm], others: Sequence[Arm]) -> tuple[float | None, str]:
    """Return how far seeds alone may move a difference, or None if unknown, and the source of that estimate."""
    scatter = [_typical(arm) for arm in others if len(arm.seeds) > 1]
    if not scatter:
        return None, "no training has two seeds"
    freedom = sum(len(arm.seeds) - 1 for arm in others)
    # The variance of a difference of two means is the variance of a seed times 1/n + 1/m for n and m seeds.
    factor = STUDENT[min(freedom, len(STUDENT)) - 1]
    error = float(np.median(scatter) * sum(1 / len(arm.seeds) for arm in pair)) ** 0.5
    own, name = max((arm.spread() or 0.0, arm.name) for arm in pair)
    # The observed spread of the pair is a lower bound of its noise, whatever the other arms show.
    if own > factor * error:
        return own, f"seeds: the spread of {name}"
    trainings = "one training" if len(scatter) == 1 else f"{len(scatter)} trainings"
    return factor * error, f"seeds: {factor:g} standard errors, by the scatter in {trainings}"


def _typical(arm: Arm) -> float:
    """Return the variance of PQ over the seeds of an arm, scaled to be median-unbiased."""
    # The arms are summarized by their median, which one arm that fails with one seed does not move. The sample variance
    # is unbiased in the mean, but its median is too small: by Wilson and Hilferty that of chi-squared with k degrees of
    # freedom is about k (1 - 2 / 9k)³.
    freedom = len(arm.seeds) - 1
    return float(np.var(arm.values("PQ"), ddof=1)) / (1 - 2 / (9 * freedom)) ** 3
