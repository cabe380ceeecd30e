"""What corrupted pictures cost: mPC and rPC of models (Michaelis et al., 2019), with paired intervals over images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.comparison import notes, require_comparable, run_sums
from bench.analysis.suite import Outcome, Suite
from bench.datasets.corruptions import Corruption
from bench.metrics.bootstrap import MEANS, PQ_PARTS, Draws, Estimate, estimates, mean_pq, point_estimates, resample
from bench.metrics.image_statistics import ImageSums
from bench.results.run import Run

AT = MEANS.index("PQ")
NONE = Estimate(None, None, None)
CLEAN = ""


@dataclass(frozen=True)
class ClassLoss:
    """PQ of a class on clean pictures and its mean over the corrupted ones; `worst` is the corruption that costs most.

    `support` is the number of ground-truth segments.
    """

    name: str
    support: int
    clean: float | None
    corrupted: float | None
    worst: str | None


@dataclass(frozen=True)
class ModelRobustness:
    """PQ of one model; undefined estimates if a run failed.

    `clean` and `cells` ("fog:3") are of one run each, `by_corruption` means over strengths. mPC is the mean over all
    corruptions and strengths, rPC is mPC divided by the clean PQ.
    """

    name: str
    clean: Estimate
    cells: Mapping[str, Estimate]
    by_corruption: Mapping[str, Estimate]
    mPC: Estimate
    rPC: Estimate
    classes: tuple[ClassLoss, ...]


@dataclass(frozen=True)
class RobustnessDifference:
    """B - A of two models on the same images: `values` has clean PQ, mPC, rPC and the mean of each corruption."""

    a: str
    b: str
    values: Mapping[str, Estimate]


@dataclass(frozen=True)
class Robustness:
    """Result of a suite with corruptions. Fractions; `notes` are the caveats of the intervals."""

    title: str
    dataset: str
    images: int
    corruptions: tuple[str, ...]
    strengths: tuple[int, ...]
    models: tuple[ModelRobustness, ...]
    differences: tuple[RobustnessDifference, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Quantities of a model by name, as values (1,) with replicates (1, R)."""

    name: str
    values: Mapping[str, NDArray[np.floating]]
    draws: Mapping[str, Draws]

    def estimate(self, name: str) -> Estimate:
        return estimates(self.values[name], self.draws[name])[0] if name in self.values else NONE


def robustness(suite: Suite, outcomes: Sequence[Outcome], replicates: int = 10_000) -> Robustness | None:
    """Return the robustness of the models of a suite with corruptions, None if no run is complete.

    Raises NotComparable if they are of different images or rules, apart from the corruption.
    """
    done = [outcome.run for outcome in outcomes if outcome.run is not None]
    if not done:
        return None
    require_comparable(*map(_as_clean, done))
    sums = run_sums(done[0])
    each = len(suite.variants())
    groups = [outcomes[start : start + each] for start in range(0, len(outcomes), each)]
    found = [_drawn(suite, run.name, group, replicates) for run, group in zip(suite.runs, groups, strict=True)]
    models = [_model(suite, drawn, group) for drawn, group in zip(found, groups, strict=True)]
    return Robustness(
        suite.title, f"{done[0].meta.dataset.name}:{done[0].meta.dataset.split}", len(sums.image_ids),
        suite.corruptions, suite.strengths, tuple(models), tuple(_differences(found)),
        notes(len(sums.image_ids), len(set(sums.groups)), False),
    )  # fmt: skip


def _as_clean(run: Run) -> Run:
    """Return the run as if its pictures were clean, for the comparison of everything else."""
    key = {name: value for name, value in run.complete.key.items() if name != "corruption"}
    return replace(run, done=replace(run.complete, key=key))


def pq_draws(sums: ImageSums, replicates: int) -> tuple[NDArray[np.floating], Draws]:
    """Return PQ as (1,) with replicates (1, R). Runs of the same images share their draws, so that they are paired."""
    # One run at a time: draws depend on the seed and the number of images alone, and sums of 60 runs would fill memory.
    return point_estimates(sums)[AT : AT + 1], resample([sums], replicates=replicates, of=mean_pq, needs=PQ_PARTS)[0]


def _drawn(suite: Suite, name: str, group: Sequence[Outcome], replicates: int) -> Drawn:
    labels = [str(variant) for variant in suite.variants()]
    runs = {label: outcome.run for label, outcome in zip(labels, group, strict=True) if outcome.run is not None}
    one = {label: pq_draws(run_sums(run), replicates) for label, run in runs.items()}
    values, draws = ({label: pair[k] for label, pair in one.items()} for k in (0, 1))
    for made in (values, draws):
        _add_means(suite, made)
    return Drawn(name, values, draws)


def _add_means(suite: Suite, made: dict[str, Any]) -> None:
    """Add the means over strengths and over everything, each only if no run of it is missing."""
    for name in suite.corruptions:
        _add_mean(made, name, [str(Corruption(name, strength)) for strength in suite.strengths])
    _add_mean(made, "mPC", suite.corruptions)
    if "mPC" in made and CLEAN in made:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = made["mPC"] / made[CLEAN]
        # Of a clean PQ of 0 nothing can be kept.
        made["rPC"] = np.where(np.isfinite(ratio), ratio, np.nan)


def _add_mean(made: dict[str, Any], name: str, parts: Sequence[str]) -> None:
    found = [made[part] for part in parts if part in made]
    if len(found) == len(parts):
        made[name] = np.mean(found, axis=0)


def _model(suite: Suite, drawn: Drawn, group: Sequence[Outcome]) -> ModelRobustness:
    cells = [str(Corruption(name, strength)) for name, strength in product(suite.corruptions, suite.strengths)]
    return ModelRobustness(
        drawn.name,
        drawn.estimate(CLEAN),
        {cell: drawn.estimate(cell) for cell in cells},
        {name: drawn.estimate(name) for name in suite.corruptions},
        drawn.estimate("mPC"),
        drawn.estimate("rPC"),
        tuple(_classes(suite, group)),
    )


def _classes(suite: Suite, group: Sequence[Outcome]) -> Iterator[ClassLoss]:
    """Yield a row a class that occurs in the truth; nothing unless all runs are complete."""
    runs = [outcome.run for outcome in group if outcome.run is not None]
    if len(runs) < len(group):
        return
    for k, row in enumerate(runs[0].score.per_class):
        if not (support := row.TP + row.FN):
            continue
        # Classes with ground truth have a PQ in every run.
        pq = np.array([run.score.per_class[k].PQ or 0.0 for run in runs[1:]])
        means = pq.reshape(len(suite.corruptions), -1).mean(axis=1)
        worst = suite.corruptions[int(means.argmin())]
        yield ClassLoss(row.name, support, row.PQ, float(means.mean()), worst)


def _differences(found: Sequence[Drawn]) -> Iterator[RobustnessDifference]:
    """Yield the difference of each model to the first one, where both have all runs."""
    first, *others = found
    for other in others:
        if "rPC" in first.values and "rPC" in other.values:
            names = {"clean PQ": CLEAN, "mPC": "mPC", "rPC": "rPC"}
            names |= {name: name for name in first.values if name and ":" not in name and name not in names}
            yield RobustnessDifference(
                first.name,
                other.name,
                {
                    label: estimates(other.values[name] - first.values[name], other.draws[name] - first.draws[name])[0]
                    for label, name in names.items()
                },
            )


def sentences(found: Robustness) -> list[str]:
    """Return the conclusions as sentences."""
    runs = f"{len(found.corruptions)} corruptions at strength {', '.join(map(str, found.strengths))}"
    said = []
    for one in found.models:
        if one.rPC.value is None or not one.by_corruption:
            said.append(f"{one.name}: not all runs are complete, so that nothing is said of it.")
            continue
        worst = min(one.by_corruption, key=lambda name: one.by_corruption[name].value or 0.0)
        said.append(f"{one.name} keeps {_percent(one.rPC)} of its PQ over {runs}; {worst} costs most.")
    for pair in found.differences:
        gap = pair.values["rPC"]
        if gap.value is None or gap.low is None or gap.high is None:
            continue
        points = f"{100 * abs(gap.value):.1f} points"
        ends = f"({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"
        if gap.low > 0 or gap.high < 0:
            more = "more" if gap.value > 0 else "less"
            said.append(f"{pair.b} keeps {points} {more} of its PQ than {pair.a} {ends}.")
        else:
            said.append(f"Which of {pair.a} and {pair.b} keeps more is not settled by {found.images} images {ends}.")
    said.append(
        "This holds for these synthetic changes of the same images and models as they are; it says nothing about real "
        "weather or cameras."
    )
    return said


def _percent(value: Estimate) -> str:
    ends = "" if value.low is None or value.high is None else f" ({100 * value.low:.1f} to {100 * value.high:.1f})"
    return f"{100 * (value.value or 0.0):.1f} %{ends}"
