"""Percentile bootstrap of statistics of sums, as PQ and mIoU, over images or groups of images (Efron, 1979).

A replicate draws as many images as there are, with replacement. Its sums are those of the images times how often each
was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.metrics.columns import Ints
from bench.metrics.image_statistics import PARTS, ImageSums
from bench.metrics.score import HEADLINE
from bench.types import Categories

# Replicates of a block: the counts of 5,000 images then fit into a core's cache.
BLOCK = 64
# OpenBLAS runs products of up to so many multiplications on the calling thread; its own threads would compete with
# those of the pool.
SMALL_PRODUCT = 2**18
# Replicates are in single precision: a smaller difference is rounding.
TIE = 1e-6
MEANS = tuple(HEADLINE)
PQ_PARTS = ("iou", "halves")  # of PARTS, those that PQ is computed from

Draws = NDArray[np.float32]  # (len(MEANS) + C, replicates); NaN where undefined
Sums = Mapping[str, NDArray[np.floating]]  # part → (C, n)
Statistic = Callable[[Sums, Categories], NDArray[np.floating]]  # sums → (rows, n)


@dataclass(frozen=True)
class Estimate:
    """Value and its percentile interval; None if undefined."""

    value: float | None
    low: float | None
    high: float | None


def resample(
    runs: Sequence[ImageSums],
    *,
    replicates: int = 10_000,
    seed: int = 0,
    by_group: bool = False,
    workers: int = 2,
    of: Statistic | None = None,
    needs: Sequence[str] | None = None,
) -> list[Draws]:
    """Draw replicates of all runs together; return (rows, replicates) for each run.

    `quantities` computes the rows from sums unless another statistic is given, which `needs` these of the names of the
    sums, or all. Raise DataError if the runs are not of the same images.
    """
    made, needs = of or quantities, needs or runs[0].names
    if any(run.image_ids != runs[0].image_ids for run in runs):
        raise DataError("the runs are not of the same images: compare runs that share a comparability key")
    drawn_from = [run.by_group() for run in runs] if by_group else runs
    units = len(drawn_from[0].image_ids)
    columns = _columns(drawn_from, needs)
    blocks = [(k, min(BLOCK, replicates - start)) for k, start in enumerate(range(0, replicates, BLOCK))]

    def draw(block: tuple[int, int]) -> list[Draws]:
        # The seed is of the block and not of the thread, and all runs share its draws: differences are paired.
        counts = _counts(units, block[1], np.random.SeedSequence(seed, spawn_key=(block[0],)))
        # By the number of all parts, so that a statistic of few of them has the same sums to the last bit.
        step = max(1, SMALL_PRODUCT // (len(runs[0].names) * len(runs) * block[1]))
        sums = np.split(_sums(columns, counts, step), len(runs))
        return [made(dict(zip(needs, one, strict=True)), run.categories) for one, run in zip(sums, runs, strict=True)]

    with ThreadPoolExecutor(workers) as pool:
        drawn = list(pool.map(draw, blocks))
    return [np.concatenate([block[k] for block in drawn], axis=1) for k in range(len(runs))]


def _columns(runs: Sequence[ImageSums], needs: Sequence[str]) -> list[tuple[Ints, NDArray[np.float32]]]:
    """Return, for each category, the images with it in any run, (n,), and their sums, (runs * needs, n)."""
    # Most categories are absent from most images; only the others are multiplied.
    found, rows, images = [], [runs[0].names.index(name) for name in needs], len(runs[0].image_ids)
    bounds = [np.searchsorted(run.cells, np.arange(len(run.categories) + 1) * images) for run in runs]
    for c in range(len(runs[0].categories)):
        parts = [slice(*bound[c : c + 2]) for bound in bounds]
        places = np.unique(np.concatenate([run.cells[part] for run, part in zip(runs, parts, strict=True)]))
        values = np.zeros((len(runs), len(rows), len(places)), np.float32)
        for own, run, part in zip(values, runs, parts, strict=True):
            own[:, np.searchsorted(places, run.cells[part])] = run.values[rows, part]
        found.append((places - c * images, values.reshape(len(runs) * len(rows), len(places))))
    return found


def _counts(images: int, replicates: int, seed: np.random.SeedSequence) -> NDArray[np.float32]:
    """Return how often each image is drawn: (images, replicates); each column sums to `images`."""
    rng = np.random.default_rng(seed)
    counts = np.empty((images, replicates), np.float32)
    # Narrow random integers are drawn faster; the choice depends on the number of images alone, and so do the draws.
    kind = np.uint16 if images <= 2**16 else np.uint32
    for k in range(replicates):
        counts[:, k] = np.bincount(rng.integers(0, images, images, dtype=kind), minlength=images)
    return counts


def _sums(
    columns: Sequence[tuple[Ints, NDArray[np.float32]]], counts: NDArray[np.float32], step: int
) -> NDArray[np.float32]:
    """Return the sums of each replicate, added up by `step` images: (runs * needs, C, replicates)."""
    sums = np.zeros((len(columns[0][1]), len(columns), counts.shape[1]), np.float32)
    for c, (images, values) in enumerate(columns):
        drawn, whole = counts[images], len(images) // step * step
        if whole:
            parts = values[:, :whole].reshape(len(values), -1, step).transpose(1, 0, 2)
            sums[:, c] = (parts @ drawn[:whole].reshape(-1, step, counts.shape[1])).sum(axis=0)
        if whole < len(images):
            sums[:, c] += values[:, whole:] @ drawn[whole:]
    return sums


def quantities(part: Sums, categories: Categories) -> NDArray[np.floating]:
    """Compute statistics of the sums of all PARTS: (len(MEANS) + C, n) fractions, NaN if undefined.

    The rows are MEANS, then the PQ of each category.
    """
    occurs = part["halves"] > 0
    pq, rq = (ratio(part[name], part["halves"], occurs) for name in ("iou", "tp"))
    sq = np.where(occurs & (part["tp"] == 0), 0, ratio(part["iou"], part["tp"], part["tp"] > 0))
    things = categories.isthing
    ious = (
        ratio(part[f"{kind}_hits"], part[f"{kind}_union"], part[f"{kind}_occurs"] > 0)
        for kind in ("semantic", "panoptic")
    )
    means = [mean_of_classes(rows) for rows in (pq, sq, rq, pq[things], pq[~things], *ious)]
    return np.concatenate([np.stack(means), pq])


def mean_pq(part: Sums, categories: Categories) -> NDArray[np.floating]:
    """Compute only the first row of `quantities` from the sums of PQ_PARTS: (1, n), the PQ of all categories."""
    return mean_of_classes(ratio(part["iou"], part["halves"], part["halves"] > 0))[None]


def ratio(above: NDArray[np.floating], below: NDArray[np.floating], defined: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Divide, with NaN where undefined."""
    quotient: NDArray[np.floating] = above / np.where(defined, below, below.dtype.type(1))
    quotient[~defined] = np.nan
    return quotient


def mean_of_classes(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the mean of the defined categories, (C, n) → (n,), NaN if there are none."""
    count = np.isfinite(rows).sum(axis=0)
    return np.where(count > 0, np.nansum(rows, axis=0) / np.maximum(count, 1), np.nan)


def means_of_groups(rows: NDArray[np.floating], categories: Categories) -> NDArray[np.floating]:
    """Return the means over all, thing and stuff categories, as in `GROUPS`: (C, n) → (3, n)."""
    things = categories.isthing
    return np.stack([mean_of_classes(group) for group in (rows, rows[things], rows[~things])])


def point_estimates(run: ImageSums) -> NDArray[np.floating]:
    """Return `quantities` of the run itself: (len(MEANS) + C,)."""
    sums = run.parts.sum(axis=2, keepdims=True)
    return quantities(dict(zip(PARTS, sums, strict=True)), run.categories)[:, 0]


def estimates(values: NDArray[np.floating], draws: Draws, confidence: float = 0.95) -> list[Estimate]:
    """Return the value of each row with the percentiles of its defined replicates."""
    ordered = np.sort(draws, axis=1)  # NaN last
    defined = np.isfinite(draws).sum(axis=1)
    tail = (1 - confidence) / 2
    low, high = (_percentile(ordered, defined, at) for at in (tail, 1 - tail))
    return [Estimate(*(_number(x) for x in row)) for row in zip(values, low, high, strict=True)]


def _percentile(ordered: NDArray[np.floating], defined: NDArray[np.intp], at: float) -> NDArray[np.float64]:
    """Return percentiles of the `defined` first entries of each sorted row, with linear interpolation."""
    place = np.maximum(at * (defined - 1.0), 0)
    below = place.astype(np.intp)
    above = np.minimum(below + 1, np.maximum(defined - 1, 0))
    rows = np.arange(len(ordered))
    low, high = ordered[rows, below].astype(np.float64), ordered[rows, above].astype(np.float64)
    between: NDArray[np.float64] = low + (place - below) * (high - low)
    return between


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def probability_greater(delta: Draws) -> list[float | None]:
    """Return the share of each row's defined replicates above 0 (ties count half), or None if none is defined."""
    defined = np.isfinite(delta).sum(axis=1)
    # Ties count half, as in the Mann-Whitney statistic, so that two equal runs give 0.5.
    above = (delta > TIE).sum(axis=1) + 0.5 * (np.abs(delta) <= TIE).sum(axis=1)
    return [float(a / n) if n else None for a, n in zip(above, defined, strict=True)]


def rank_ranges(pq: NDArray[np.floating], confidence: float = 0.95) -> list[tuple[int, int] | None]:
    """Return the range of ranks (1 is best) of each run in `confidence` of the replicates; `pq` is (runs, replicates).

    Ties share the better rank. None for a run whose PQ is undefined in every replicate.
    """
    # A run whose PQ is undefined in a replicate takes the last rank there.
    filled = np.where(np.isfinite(pq), pq, -np.inf)
    ranks = np.stack([(filled > own + TIE).sum(axis=0) + 1 for own in filled])
    tail = (1 - confidence) / 2
    low = np.quantile(ranks, tail, axis=1, method="lower")
    high = np.quantile(ranks, 1 - tail, axis=1, method="higher")
    return [(int(a), int(b)) if np.isfinite(own).any() else None for a, b, own in zip(low, high, pq, strict=True)]
