"""Comparison of two runs: differences of all metrics with paired bootstrap intervals over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import NotComparable, UsageError, error_context
from bench.metrics.bootstrap import MEANS, Estimate, estimates, point_estimates, probability_greater, resample
from bench.metrics.image_statistics import ImageSums, image_sums_of_lines
from bench.results.run import Run, read_run

CONFIDENCE = 0.95
# The percentile interval undercovers with few independent units, so that fewer groups get a note.
FEW_GROUPS = 10
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
}


@dataclass(frozen=True)
class Difference:
    """One metric of both runs, as fractions.

    `delta` is B - A, `p_better` the share of bootstrap replicates in which B is above A. `support` is the number of
    ground-truth segments of a class, None for a mean.
    """

    name: str
    a: Estimate
    b: Estimate
    delta: Estimate
    p_better: float | None
    support: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return fractions, null if undefined; intervals are [low, high]."""
        return {
            "a": self.a.value, "a_interval": [self.a.low, self.a.high],
            "b": self.b.value, "b_interval": [self.b.low, self.b.high],
            "difference": self.delta.value, "interval": [self.delta.low, self.delta.high],
            "p_better": self.p_better,
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Result of `compare`.

    `means` holds PQ, SQ, RQ, PQ of things, PQ of stuff and both kinds of mIoU; `classes` holds the PQ of each class.
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

    def to_json(self) -> dict[str, Any]:
        """Return the settings, one key per mean, and the PQ and support of each class."""
        about = asdict(replace(self, means=(), classes=()))
        return {
            **{name: value for name, value in about.items() if name not in ("means", "classes")},
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
    if by_group and groups < 2:
        raise UsageError(f"{a.dataset}: has {groups} group of images, and --by-group needs at least 2")
    # Both runs share the drawn images: what makes an image hard for both cancels in the difference (paired bootstrap).
    draws = resample(runs, replicates=replicates, seed=seed, by_group=by_group)
    differences = _differences(runs, draws)
    # Ground-truth segments are either matched or missed.
    support = [row.TP + row.FN for row in a.score.per_class]
    return Comparison(
        a=a.name, b=b.name, dataset=a.dataset, images=len(runs[0].image_ids), groups=groups, by_group=by_group,
        replicates=replicates, seed=seed, confidence=CONFIDENCE,
        means=tuple(Difference(name, *row) for name, row in zip(MEANS, differences, strict=False)),
        classes=tuple(
            Difference(category.name, *row, count)
            for category, row, count in zip(a.categories, differences[len(MEANS) :], support, strict=True)
        ),
        notes=notes(len(runs[0].image_ids), groups, by_group),
    )  # fmt: skip


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
        return image_sums_of_lines(run.lines(), run.categories, run.semantic_rule, run.score.protocol)


Row = tuple[Estimate, Estimate, Estimate, float | None]


def _differences(runs: Sequence[ImageSums], draws: Sequence[Any]) -> list[Row]:
    """Return (A, B, B - A, P(B > A)) of every metric."""
    points = [point_estimates(run) for run in runs]
    delta = draws[1] - draws[0]
    columns = (
        estimates(points[0], draws[0], CONFIDENCE),
        estimates(points[1], draws[1], CONFIDENCE),
        estimates(np.subtract(points[1], points[0]), delta, CONFIDENCE),
        probability_greater(delta),
    )
    return list(zip(*columns, strict=True))


def notes(images: int, groups: int, by_group: bool) -> tuple[str, ...]:
    """Return the caveats to print below bootstrap intervals."""
    units = f"the {groups} groups of images" if by_group else f"the {images} images"
    said = [CAVEAT.format(units=units)]
    if by_group and groups < FEW_GROUPS:
        said.append(f"{groups} groups are few: their interval is rough, and more likely too short than too long.")
    # Frames of one city or sequence are correlated, and resampling them as if independent gives too short intervals.
    if not by_group and 1 < groups < images:
        said.append(f"Images of one of the {groups} groups are alike, so the interval is optimistic; see --by-group.")
    return tuple(said)
