"""Comparison of two runs: differences of all metrics with paired bootstrap intervals over images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import NotComparable, UsageError, error_context
from bench.metrics.bootstrap import MEANS, Draws, Estimate, estimates, point_estimates, probability_greater, resample
from bench.metrics.image_statistics import ImageSums, image_sums
from bench.results.run import Run, labels, read_run

CONFIDENCE = 0.95
# The percentile interval undercovers with few independent units: fewer groups get a note, and with less than six even
# the most extreme draws, all of one group, are too likely for the ends of a 95 % interval.
FEW_GROUPS, LEAST_GROUPS = 10, 6
CAVEAT = (
    "Intervals are over {units}: how far a number would move on others drawn like these. They leave out what "
    "another training seed, noise in the labels, another data set, or a model chosen on these very images would change."
)
MEANING = {
    "truth": "the images or their ground truth",
    "categories": "the classes",
    "void": "what counts as void",
    "protocol": "the PQ protocol",
    "semantic_rule": "the rule of mIoU",
    "pq_version": "the version of PQ",
    "semantic_version": "the version of mIoU",
    "corruption": "the corruption of the pictures",
}


@dataclass(frozen=True)
class Difference:
    """One metric of both runs, as fractions.

    `delta` is B - A, `p_better` the share of bootstrap replicates in which B is above A. `support` is the number of
    ground-truth segments of a class, None for other rows. `p_holm` is the two-sided p value after Holm's correction for
    the number of classes, or of rows of a breakdown; None for a mean.
    """

    name: str
    a: Estimate
    b: Estimate
    delta: Estimate
    p_better: float | None
    support: int | None = None
    p_holm: float | None = None

    @property
    def sure(self) -> bool:
        """Whether the runs differ after the correction."""
        return self.p_holm is not None and self.p_holm < 1 - CONFIDENCE

    def to_json(self) -> dict[str, Any]:
        """Return fractions, null if undefined; intervals are [low, high]."""
        return {
            "a": self.a.value, "a_interval": [self.a.low, self.a.high],
            "b": self.b.value, "b_interval": [self.b.low, self.b.high],
            "difference": self.delta.value, "interval": [self.delta.low, self.delta.high],
            "p_better": self.p_better, **({} if self.support is None else {"p_holm": self.p_holm}),
        }  # fmt: skip

    def record(self, kind: str) -> dict[str, Any]:
        """Return a flat record, for CSV; fractions."""
        return {
            "kind": kind, "name": self.name, "support": self.support, **_flat("a", self.a), **_flat("b", self.b),
            **_flat("difference", self.delta), "p_better": self.p_better, "p_holm": self.p_holm,
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Result of `compare`.

    `means` holds PQ, SQ, RQ, PQ of things, PQ of stuff and both kinds of mIoU; `classes` holds the PQ of each class,
    largest difference first.
    """

    a: str
    b: str
    dataset: str
    images: int
    groups: int
    by_group: bool
    replicates: int
    seed: int
    confidence: float
    means: tuple[Difference, ...]
    classes: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """The result for PQ as a sentence."""
        return verdict(self.a, self.b, self.means[MEANS.index("PQ")].delta)

    @property
    def class_verdict(self) -> str:
        """A sentence with the classes that differ after the correction for their number."""
        names = ", ".join(f"{row.name} ({100 * (row.delta.value or 0):+.1f})" for row in self.classes if row.sure)
        return f"{count_of_sure(self.classes, 'classes', self.replicates)}{': ' + names if names else ''}"

    @property
    def sentences(self) -> tuple[str, ...]:
        return self.verdict, self.class_verdict

    def records(self) -> list[dict[str, Any]]:
        """Return one flat record for each mean and each class, for CSV; fractions."""
        return [row.record("mean") for row in self.means] + [row.record("class") for row in self.classes]

    def to_json(self) -> dict[str, Any]:
        """Return the settings, the verdict, one key per mean, and the PQ and support of each class."""
        about = asdict(replace(self, means=(), classes=()))
        return {
            **{name: value for name, value in about.items() if name not in ("means", "classes")},
            "verdict": self.verdict,
            "class_verdict": self.class_verdict,
            **{row.name: row.to_json() for row in self.means},
            "per_class": [{"name": row.name, "support": row.support, "PQ": row.to_json()} for row in self.classes],
        }


def compare(
    run_a: Run | Path | str, run_b: Run | Path | str, *,
    replicates: int = 10_000, seed: int = 0, by_group: bool = False,
) -> Comparison:  # fmt: skip
    """Return the difference B - A of two finished runs with its paired bootstrap interval.

    Resamples images, or with `by_group` the groups (cities, sequences) that the data set names. Raises NotComparable if
    the runs were scored on different ground truth or by different rules.

    >>> from bench.datasets.registry import load_dataset
    >>> from bench.evaluation.run import run
    >>> data = load_dataset("minicity:demo")
    >>> one, other = (run("./mine.yaml", data.limited(images), "results") for images in (1, 2))
    >>> compare(one, one.folder).means[0].delta
    Estimate(value=0.0, low=0.0, high=0.0)
    >>> compare(one, other)
    Traceback (most recent call last):
        ...
    bench.errors.NotComparable: results/... and results/... differ in the images or their ground truth; score both ...
    """
    # The ends of a 95 % percentile interval are the 2.5 % and 97.5 % quantiles: below 100 replicates each rests on
    # fewer than three of them.
    if replicates < 100:
        raise UsageError(f"{replicates} replicates: an interval of 95 % needs at least 100")
    a, b = (run if isinstance(run, Run) else read_run(Path(run)) for run in (run_a, run_b))
    require_comparable(a, b)
    runs = [run_sums(a), run_sums(b)]
    groups = len(set(runs[0].groups))
    require_groups(a, groups, by_group)
    # Both runs share the drawn images: what makes an image hard for both cancels in the difference (paired bootstrap).
    draws = resample(runs, replicates=replicates, seed=seed, by_group=by_group)
    found = differences([point_estimates(run) for run in runs], draws)
    # Ground-truth segments are either matched or missed.
    support = [row.TP + row.FN for row in a.score.per_class]
    classes = corrected([category.name for category in a.categories], found[len(MEANS) :], replicates, support)
    first, second = labels([a, b])
    return Comparison(
        a=first, b=second, dataset=a.dataset, images=len(runs[0].image_ids), groups=groups, by_group=by_group,
        replicates=replicates, seed=seed, confidence=CONFIDENCE,
        means=tuple(Difference(name, *row) for name, row in zip(MEANS, found, strict=False)),
        classes=tuple(sorted(classes, key=_by_effect)),
        notes=notes(len(runs[0].image_ids), groups, by_group),
    )  # fmt: skip


def _flat(name: str, one: Estimate) -> dict[str, float | None]:
    return {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}


def _by_effect(row: Difference) -> tuple[float, str]:
    return -abs(row.delta.value) if row.delta.value is not None else 1.0, row.name


def require_groups(run: Run, groups: int, by_group: bool) -> None:
    """Raise UsageError if there are too few groups of images to resample."""
    if by_group and groups < LEAST_GROUPS:
        raise UsageError(
            f"{run.dataset}: its images have {groups} group{'' if groups == 1 else 's'}, and --by-group needs at least "
            f"{LEAST_GROUPS} for an interval; leave it out, and take the interval as optimistic"
        )


def verdict(a: str, b: str, delta: Estimate, measure: str = "PQ") -> str:
    """Return what the difference B - A of two runs shows, as a sentence."""
    if delta.value is None or delta.low is None or delta.high is None:
        return f"{measure} is undefined for {a} or {b}"
    if delta.low <= 0 <= delta.high:
        places = f".{decimals(delta.low, delta.high)}f"
        ends = f"{100 * delta.low:+{places}} to {100 * delta.high:+{places}}"
        return f"no difference in {measure} shown: the 95 % interval of {b} − {a}, {ends} points, holds 0"
    better, worse = (b, a) if delta.value > 0 else (a, b)
    low, high = sorted((abs(delta.low), abs(delta.high)))
    places = f".{decimals(low, high)}f"
    size = f"{100 * abs(delta.value):{places}} points of {measure}"
    return f"{better} is better than {worse} by {size} (95 % interval {100 * low:{places}} to {100 * high:{places}})"


def decimals(low: float | None, high: float | None) -> int:
    """Return the decimals of a percentage: two digits of the interval's half width, at most 2; 1 without interval."""
    if low is None or high is None:
        return 1
    half = 50 * (high - low)
    return 2 if half <= 0 else min(max(1 - math.floor(math.log10(half)), 0), 2)


def p_value(p_better: float | None, replicates: int) -> float | None:
    """Return the two-sided p value of a share of replicates, at least 2 / (replicates + 1)."""
    # No share is taken as 0 or 1: with n replicates a p value below about 1/n cannot be seen.
    if p_better is None:
        return None
    return min(1.0, 2 * (min(p_better, 1 - p_better) * replicates + 1) / (replicates + 1))


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p values corrected for the number of those that are defined (Holm, 1979)."""
    order = sorted((p, k) for k, p in enumerate(values) if p is not None)
    found: list[float | None] = [None] * len(values)
    largest = 0.0
    for place, (p, k) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - place)))
        found[k] = largest
    return found


def require_comparable(first: Run, *others: Run) -> None:
    """Raise NotComparable unless all runs were scored on the same ground truth by the same rules."""
    for other in others:
        ours, theirs = first.complete.key, other.complete.key
        differing = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        if differing:
            named = ", ".join(MEANING.get(key, key) for key in differing)
            raise NotComparable(
                f"{first.folder} and {other.folder} differ in {named}; score both on the same images by the same rules"
            )


def run_sums(run: Run) -> ImageSums:
    """Return each image's contribution to the score of a run, for resampling."""
    with error_context(run.folder):
        return image_sums(run.stored.columns, run.categories, run.semantic_rule, run.score.protocol)


Row = tuple[Estimate, Estimate, Estimate, float | None]


def differences(points: Sequence[NDArray[np.floating]], draws: Sequence[Draws]) -> list[Row]:
    """Return (A, B, B - A, P(B > A)) of every row of the points and draws of A and of B."""
    delta = draws[1] - draws[0]
    columns = (
        estimates(points[0], draws[0], CONFIDENCE),
        estimates(points[1], draws[1], CONFIDENCE),
        estimates(np.subtract(points[1], points[0]), delta, CONFIDENCE),
        probability_greater(delta),
    )
    return list(zip(*columns, strict=True))


def count_of_sure(rows: Sequence[Difference], kinds: str, replicates: int) -> str:
    """Return how many rows differ after the correction, as a sentence."""
    sure, named = sum(row.sure for row in rows), sum(row.p_holm is not None for row in rows)
    found = f"{sure} of {named} {kinds} differ after Holm's correction for {named} comparisons"
    # A p value is at least 2 / (replicates + 1), and the smallest is multiplied by the number of rows.
    least = math.ceil(2 * named / (1 - CONFIDENCE))
    few = f"; {replicates} replicates are too few to show one: give {least} or more by --replicates"
    return f"{found}{few if replicates < least else ''}"


def corrected(
    names: Sequence[str], rows: Sequence[Row], replicates: int, support: Sequence[int] | None = None
) -> list[Difference]:
    """Return the differences of named rows with p values after Holm's correction for the number of rows."""
    found = holm([p_value(row[-1], replicates) for row in rows])
    counts: Sequence[int | None] = support or [None] * len(rows)
    return [Difference(name, *row, count, p) for name, row, count, p in zip(names, rows, counts, found, strict=True)]


def notes(images: int, groups: int, by_group: bool) -> tuple[str, ...]:
    """Return the caveats to print below bootstrap intervals."""
    units = f"the {groups} groups of images" if by_group else f"the {images} images"
    said = [CAVEAT.format(units=units)]
    if by_group and groups < FEW_GROUPS:
        said.append(f"{groups} groups are few: their interval is rough, and more likely too short than too long.")
    # Frames of one city or sequence are correlated, and resampling them as if independent gives too short intervals.
    if not by_group and 1 < groups < images:
        remedy = "; see --by-group" if groups >= LEAST_GROUPS else f", and with less than {LEAST_GROUPS} nothing better"
        said.append(f"Images of one of the {groups} groups are alike, so the interval is optimistic{remedy}.")
    return tuple(said)
