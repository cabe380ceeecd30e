"""Result of a sweep over settings of a model: curves with intervals, and settings chosen on one half of the images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.analysis.comparison import notes, require_comparable, run_sums
from bench.analysis.robustness import pq_draws
from bench.analysis.suite import Outcome, Suite
from bench.metrics.bootstrap import Estimate, estimates
from bench.metrics.image_statistics import ImageSums
from bench.results.timing import Timing, read_timing

REPLICATES_OF_MEDIAN = 2_000


@dataclass(frozen=True)
class SweepRow:
    """One run: `settings` are those of the sweep, none for the model as it is.

    `latency` is the median of seconds an image, `peak_bytes` the peak memory; None if they were not measured.
    """

    model: str
    name: str
    settings: Mapping[str, Any]
    PQ: Estimate
    latency: Estimate | None
    peak_bytes: int | None


@dataclass(frozen=True)
class Selection:
    """Settings with the largest PQ on one half of the images, scored on the other half.

    `PQ_chosen_on` is their PQ on the half that they were chosen on, which is too large by the choice. `gain` is their
    PQ on the other half minus that of the model as it is there. `other_choice` is what the other half would choose.
    """

    model: str
    chosen: str
    images_chosen_on: int
    images_scored: int
    PQ_chosen_on: float
    PQ: Estimate
    gain: Estimate
    other_choice: str


@dataclass(frozen=True)
class Sweep:
    """Result of a suite with a sweep. Fractions; `notes` are the caveats of the intervals."""

    title: str
    dataset: str
    images: int
    keys: tuple[str, ...]
    rows: tuple[SweepRow, ...]
    selections: tuple[Selection, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


AS_IT_IS = "as it is"


def sweep(suite: Suite, outcomes: Sequence[Outcome], replicates: int = 10_000) -> Sweep | None:
    """Return the result of a suite with a sweep, None if none is complete.

    Raises NotComparable if they are of different images or rules.
    """
    done = [outcome.run for outcome in outcomes if outcome.run is not None]
    if not done:
        return None
    require_comparable(*done)
    variants = suite.variants()
    rows: list[SweepRow] = []
    selections: list[Selection] = []
    for k, planned in enumerate(suite.runs):
        group = outcomes[k * len(variants) : (k + 1) * len(variants)]
        sums: dict[str, ImageSums] = {}
        for variant, outcome in zip(variants, group, strict=True):
            if outcome.run is None:
                continue
            name = str(variant) or AS_IT_IS
            sums[name] = run_sums(outcome.run)
            pq = estimates(*pq_draws(sums[name], replicates))[0]
            timing = read_timing(outcome.run.folder)
            measured = (None, None) if timing is None else (_latency(timing), timing.peak_bytes)
            rows.append(SweepRow(planned.name, name, variant.set, pq, *measured))
        # A choice among some of the settings would pass for one among all.
        if len(sums) == len(variants):
            selections += _selections(planned.name, sums, replicates)
    images = run_sums(done[0])
    return Sweep(
        suite.title, done[0].dataset, len(images.image_ids), tuple(suite.sweep), tuple(rows), tuple(selections),
        notes(len(images.image_ids), len(set(images.groups)), False),
    )  # fmt: skip


def _latency(found: Timing) -> Estimate:
    """Return the median seconds an image, with its 95 % interval over the timed images."""
    seconds = np.array(found.seconds["total"])
    drawn = np.random.default_rng(0).choice(seconds, (REPLICATES_OF_MEDIAN, len(seconds)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return Estimate(found.p50, float(low), float(high))


def is_in_first_half(image_id: str) -> bool:
    """Return whether an image is in the half that settings are chosen on: by its id, in any subset the same."""
    return hashlib.blake2b(image_id.encode(), digest_size=1).digest()[0] % 2 == 0


def _half(sums: ImageSums, first: bool) -> ImageSums:
    places = [k for k, image_id in enumerate(sums.image_ids) if is_in_first_half(image_id) == first]
    names, groups = ([values[k] for k in places] for values in (sums.image_ids, sums.groups))
    return ImageSums.of_parts(sums.categories, names, groups, sums.parts[..., places])


def _selections(model: str, sums: Mapping[str, ImageSums], replicates: int) -> Iterator[Selection]:
    """Yield the selection of a model; nothing if a half has no image or no class."""
    first, second = ({name: _half(one, half) for name, one in sums.items()} for half in (True, False))
    if not first[AS_IT_IS].image_ids or not second[AS_IT_IS].image_ids:
        return
    chosen, other = _best(first), _best(second)
    if chosen is None or other is None:
        return
    value, draws = pq_draws(second[chosen[0]], replicates)
    own_value, own_draws = pq_draws(second[AS_IT_IS], replicates)
    yield Selection(
        model, chosen[0], len(first[AS_IT_IS].image_ids), len(second[AS_IT_IS].image_ids), chosen[1],
        estimates(value, draws)[0], estimates(value - own_value, draws - own_draws)[0], other[0],
    )  # fmt: skip


def _best(sums: Mapping[str, ImageSums]) -> tuple[str, float] | None:
    """Return the name and PQ of the largest PQ; of equal ones the first, so that the model as it is stays."""
    found = {name: float(pq_draws(one, 1)[0][0]) for name, one in sums.items()}
    known = {name: value for name, value in found.items() if np.isfinite(value)}
    name = max(known, key=lambda name: known[name], default=None)
    return None if name is None else (name, known[name])


def sentences(found: Sweep) -> list[str]:
    """Return the conclusions as sentences."""
    said = []
    for one in found.selections:
        gain = one.gain
        if gain.value is None or gain.low is None or gain.high is None:
            continue
        ends = f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
        where = f"best on {one.images_chosen_on} images (PQ {100 * one.PQ_chosen_on:.1f})"
        scores = f"on the other {one.images_scored} it scores {100 * (one.PQ.value or 0.0):.1f}"
        if one.chosen == AS_IT_IS:
            verdict = f"{one.model} without a change is {where}, so that nothing of the sweep is chosen; {scores}."
        elif gain.low > 0 or gain.high < 0:
            points = f"{100 * abs(gain.value):.1f} points {'more' if gain.low > 0 else 'less'}"
            verdict = f"{one.model}: {one.chosen} is {where}; {scores}, {points} than as it is {ends}."
        else:
            verdict = f"{one.model}: {one.chosen} is {where}; {scores}, not told apart from it as it is {ends}."
        same = one.other_choice == one.chosen
        said.append(f"{verdict} The other half {'chooses the same' if same else f'would choose {one.other_choice}'}.")
    return said
